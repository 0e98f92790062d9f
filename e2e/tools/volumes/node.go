package main

import (
	"context"
	"errors"
	"os"
	"syscall"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Shows volumes to the Pods of one node.
type node struct {
	csi.UnimplementedNodeServer
	name  string
	store *store
}

func (n node) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: n.name}, nil
}

func (node) NodeGetCapabilities(
	context.Context, *csi.NodeGetCapabilitiesRequest,
) (*csi.NodeGetCapabilitiesResponse, error) {
	return &csi.NodeGetCapabilitiesResponse{}, nil
}

func (n node) NodePublishVolume(
	_ context.Context, request *csi.NodePublishVolumeRequest,
) (*csi.NodePublishVolumeResponse, error) {
	name, target := request.GetVolumeId(), request.GetTargetPath()
	if err := checkName(name); err != nil {
		return nil, err
	}
	if found, err := n.store.find(volumes, name); err != nil || found == nil {
		return nil, status.Errorf(codes.NotFound, "there is no volume %s: %v", name, err)
	}
	if err := os.MkdirAll(target, 0o750); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	if err := show(n.store.path(volumes, name), target, request.GetReadonly()); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &csi.NodePublishVolumeResponse{}, nil
}

func show(volume, target string, readOnly bool) error {
	from, err := os.Stat(volume)
	if err != nil {
		return err
	}
	there, err := os.Stat(target)
	if err != nil || os.SameFile(from, there) {
		return err
	}
	if err := syscall.Mount(volume, target, "", syscall.MS_BIND, ""); err != nil || !readOnly {
		return err
	}
	// A bind mount takes no other flags when it is made.
	return syscall.Mount("", target, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, "")
}

func (node) NodeUnpublishVolume(
	_ context.Context, request *csi.NodeUnpublishVolumeRequest,
) (*csi.NodeUnpublishVolumeResponse, error) {
	target := request.GetTargetPath()
	// Not mounted, or not there: an earlier call has done it, or the node lost its power.
	err := syscall.Unmount(target, 0)
	if err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOENT) {
		return nil, status.Error(codes.Internal, err.Error())
	}
	if err := os.Remove(target); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &csi.NodeUnpublishVolumeResponse{}, nil
}
