package main

import (
	"context"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// A volume that nobody gave a size. Sizes are remembered and compared, not enforced.
const usualBytes = 1 << 30

// Makes and removes volumes and snapshots. Their names are their ids, so that each call may come again.
type controller struct {
	csi.UnimplementedControllerServer
	store *store
}

func (controller) ControllerGetCapabilities(
	context.Context, *csi.ControllerGetCapabilitiesRequest,
) (*csi.ControllerGetCapabilitiesResponse, error) {
	answer := &csi.ControllerGetCapabilitiesResponse{}
	for _, able := range []csi.ControllerServiceCapability_RPC_Type{
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME,
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT,
	} {
		rpc := &csi.ControllerServiceCapability_RPC{Type: able}
		capability := &csi.ControllerServiceCapability{Type: &csi.ControllerServiceCapability_Rpc{Rpc: rpc}}
		answer.Capabilities = append(answer.Capabilities, capability)
	}
	return answer, nil
}

func (c controller) CreateVolume(
	_ context.Context, request *csi.CreateVolumeRequest,
) (*csi.CreateVolumeResponse, error) {
	if err := checkName(request.GetName()); err != nil {
		return nil, err
	}
	if err := checkCapabilities(request.GetVolumeCapabilities()); err != nil {
		return nil, err
	}
	wanted := record{Bytes: request.GetCapacityRange().GetRequiredBytes()}
	if wanted.Bytes == 0 {
		wanted.Bytes = usualBytes
	}
	if limit := request.GetCapacityRange().GetLimitBytes(); limit > 0 && limit < wanted.Bytes {
		return nil, status.Errorf(codes.OutOfRange, "at least %d and at most %d bytes are wanted", wanted.Bytes, limit)
	}
	arguments := []string{"create"}
	if request.GetVolumeContentSource() != nil {
		from, err := c.source(request.GetVolumeContentSource(), wanted.Bytes)
		if err != nil {
			return nil, err
		}
		wanted.Source = from
		arguments = []string{"snapshot", c.store.path(snapshots, from)}
	}
	made, err := c.store.make(volumes, request.GetName(), wanted, arguments...)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	if made.Bytes != wanted.Bytes || made.Source != wanted.Source {
		return nil, status.Errorf(codes.AlreadyExists, "volume %s exists and is another one", request.GetName())
	}
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{
		VolumeId:      request.GetName(),
		CapacityBytes: made.Bytes,
		ContentSource: request.GetVolumeContentSource(),
	}}, nil
}

// The snapshot that a volume of so many bytes is to be made from.
func (c controller) source(from *csi.VolumeContentSource, bytes int64) (string, error) {
	name := from.GetSnapshot().GetSnapshotId()
	if err := checkName(name); err != nil {
		return "", err
	}
	found, err := c.store.find(snapshots, name)
	if err != nil {
		return "", status.Error(codes.Internal, err.Error())
	}
	if found == nil {
		return "", status.Errorf(codes.NotFound, "there is no snapshot %s", name)
	}
	if bytes < found.Bytes {
		return "", status.Errorf(codes.OutOfRange, "snapshot %s needs a volume of %d bytes", name, found.Bytes)
	}
	return name, nil
}

func (c controller) DeleteVolume(
	_ context.Context, request *csi.DeleteVolumeRequest,
) (*csi.DeleteVolumeResponse, error) {
	return &csi.DeleteVolumeResponse{}, c.remove(volumes, request.GetVolumeId())
}

func (c controller) CreateSnapshot(
	_ context.Context, request *csi.CreateSnapshotRequest,
) (*csi.CreateSnapshotResponse, error) {
	name, of := request.GetName(), request.GetSourceVolumeId()
	for _, text := range []string{name, of} {
		if err := checkName(text); err != nil {
			return nil, err
		}
	}
	volume, err := c.store.find(volumes, of)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	if volume == nil {
		return nil, status.Errorf(codes.NotFound, "there is no volume %s", of)
	}
	wanted := record{Bytes: volume.Bytes, Source: of}
	made, err := c.store.make(snapshots, name, wanted, "snapshot", "-r", c.store.path(volumes, of))
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	if made.Source != of {
		return nil, status.Errorf(codes.AlreadyExists, "snapshot %s exists and is one of %s", name, made.Source)
	}
	return &csi.CreateSnapshotResponse{Snapshot: &csi.Snapshot{
		SnapshotId:     name,
		SourceVolumeId: of,
		SizeBytes:      made.Bytes,
		CreationTime:   timestamppb.New(made.Made),
		ReadyToUse:     true,
	}}, nil
}

func (c controller) DeleteSnapshot(
	_ context.Context, request *csi.DeleteSnapshotRequest,
) (*csi.DeleteSnapshotResponse, error) {
	return &csi.DeleteSnapshotResponse{}, c.remove(snapshots, request.GetSnapshotId())
}

func (c controller) remove(kind, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := c.store.remove(kind, name); err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	return nil
}

func (c controller) ValidateVolumeCapabilities(
	_ context.Context, request *csi.ValidateVolumeCapabilitiesRequest,
) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if err := checkCapabilities(request.GetVolumeCapabilities()); err != nil {
		return &csi.ValidateVolumeCapabilitiesResponse{Message: err.Error()}, nil
	}
	confirmed := &csi.ValidateVolumeCapabilitiesResponse_Confirmed{
		VolumeCapabilities: request.GetVolumeCapabilities(),
	}
	return &csi.ValidateVolumeCapabilitiesResponse{Confirmed: confirmed}, nil
}

// A name becomes one of a file.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || filepath.Base(name) != name {
		return status.Errorf(codes.InvalidArgument, "%q is no name", name)
	}
	return nil
}

func checkCapabilities(wanted []*csi.VolumeCapability) error {
	for _, capability := range wanted {
		if capability.GetBlock() != nil {
			return status.Error(codes.InvalidArgument, "volumes are folders: set volumeMode: Filesystem")
		}
	}
	return nil
}
