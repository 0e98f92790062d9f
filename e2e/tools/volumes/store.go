package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

const (
	volumes   = "volumes"
	snapshots = "snapshots"
)

// What is known of a volume or a snapshot. A subvolume without one was never finished.
type record struct {
	Bytes int64 `json:"bytes"`
	// The snapshot that a volume was made from, or the volume that a snapshot was taken of.
	Source string    `json:"source,omitempty"`
	Made   time.Time `json:"made"`
}

type store struct {
	folder string
	lock   sync.Mutex
}

func openStore(folder string) (*store, error) {
	for _, kind := range []string{volumes, snapshots} {
		if err := os.MkdirAll(filepath.Join(folder, kind), 0o700); err != nil {
			return nil, err
		}
	}
	return &store{folder: folder}, nil
}

func (s *store) path(kind, name string) string {
	return filepath.Join(s.folder, kind, name)
}

// Nil when there is none.
func (s *store) find(kind, name string) (*record, error) {
	text, err := os.ReadFile(s.path(kind, name) + ".json")
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := &record{}
	return found, json.Unmarshal(text, found)
}

// Makes a subvolume as `btrfs subvolume ARGUMENTS PATH` does, unless there is one of this name already. Returns what is
// known of that one: whether it is the same as is wanted, the caller compares.
func (s *store) make(kind, name string, wanted record, arguments ...string) (*record, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	found, err := s.find(kind, name)
	if found != nil || err != nil {
		return found, err
	}
	if err := s.drop(kind, name); err != nil {
		return nil, err
	}
	if err := subvolume(append(arguments, s.path(kind, name))...); err != nil {
		return nil, err
	}
	wanted.Made = time.Now()
	return &wanted, s.write(kind, name, wanted)
}

func (s *store) write(kind, name string, known record) error {
	text, err := json.Marshal(known)
	if err != nil {
		return err
	}
	partial := s.path(kind, name) + ".partial"
	if err := os.WriteFile(partial, text, 0o600); err != nil {
		return err
	}
	return os.Rename(partial, s.path(kind, name)+".json")
}

// Removes it; one that is gone is fine.
func (s *store) remove(kind, name string) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	// The record first: what is left without one does not count.
	if err := os.Remove(s.path(kind, name) + ".json"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return s.drop(kind, name)
}

func (s *store) drop(kind, name string) error {
	path := s.path(kind, name)
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return subvolume("delete", path)
}

func subvolume(arguments ...string) error {
	said, err := exec.Command("btrfs", append([]string{"subvolume"}, arguments...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("btrfs subvolume %v: %w: %s", arguments, err, said)
	}
	return nil
}
