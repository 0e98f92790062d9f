// A storage driver for the rig: its volumes are subvolumes of one btrfs file system, which every node of the rig reaches,
// since all nodes are one machine. A snapshot of btrfs is atomic, so it is what Kubernetes' API promises.
//
// One process serves the controller side to the sidecars and the node side to the kubelet of every node.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

const driver = "snapshots.porpoise.local"

func main() {
	store := flag.String("store", "", "folder on a btrfs file system where volumes and snapshots are kept")
	socket := flag.String("socket", "", "where sidecars find the controller side")
	nodes := map[string]string{}
	flag.Func("node", "NAME=FOLDER of a node and its kubelet; once for each node", func(text string) error {
		name, folder, found := strings.Cut(text, "=")
		if !found {
			return fmt.Errorf("%q is not NAME=FOLDER", text)
		}
		nodes[name] = folder
		return nil
	})
	flag.Parse()
	log.Fatal(run(*store, *socket, nodes))
}

// Returns only when something cannot be served any more.
func run(folder, socket string, nodes map[string]string) error {
	kept, err := openStore(folder)
	if err != nil {
		return err
	}
	failed := make(chan error)
	serve := func(path string, register func(*grpc.Server)) {
		go func() { failed <- listen(path, register) }()
	}
	serve(socket, func(server *grpc.Server) {
		csi.RegisterIdentityServer(server, identity{})
		csi.RegisterControllerServer(server, controller{store: kept})
	})
	for name, kubelet := range nodes {
		endpoint := filepath.Join(kubelet, "plugins", driver+".sock")
		serve(endpoint, func(server *grpc.Server) {
			csi.RegisterIdentityServer(server, identity{})
			csi.RegisterNodeServer(server, node{name: name, store: kept})
		})
		serve(filepath.Join(kubelet, "plugins_registry", driver+".sock"), func(server *grpc.Server) {
			registration.RegisterRegistrationServer(server, registrar{endpoint: endpoint})
		})
	}
	return <-failed
}

func listen(path string, register func(*grpc.Server)) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	// One of a driver that was killed; the kubelet takes the new one as another driver that registers.
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(logged))
	register(server)
	return server.Serve(listener)
}

// Says what was asked and what came of it. Probes would drown the rest.
func logged(
	ctx context.Context, request any, call *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	answer, err := handler(ctx, request)
	if err != nil || !strings.HasSuffix(call.FullMethod, "/Probe") {
		log.Printf("%s %v: %v, error %v", call.FullMethod, request, answer, err)
	}
	return answer, err
}
