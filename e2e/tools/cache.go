package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
	"time"
)

// cacheRoot returns the directory that keeps the programs, by the environment.
func cacheRoot(getenv func(string) string) (string, error) {
	if dir := getenv("MULTUS_IPMGR_CACHE"); dir != "" {
		dir, err := filepath.Abs(dir)
		return filepath.Join(dir, "tools"), err
	}
	dir := getenv("XDG_CACHE_HOME")
	if dir == "" {
		home := getenv("HOME")
		if home == "" {
			return "", errors.New("no place for the cache: set MULTUS_IPMGR_CACHE, XDG_CACHE_HOME or HOME")
		}
		dir = filepath.Join(home, ".cache")
	}
	return filepath.Join(dir, "multus-ipmgr", "tools"), nil
}

// sources reads the Go files of a module that holds programs of its own; most
// modules only pin those of others and have none.
func sources(dir string) ([][]byte, error) {
	var files [][]byte
	module := os.DirFS(dir)
	err := fs.WalkDir(module, ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".go" {
			return err
		}
		data, err := fs.ReadFile(module, name)
		files = append(files, data)
		return err
	})
	return files, err
}

// key condenses all that decides what a program is.
func key(parts ...[]byte) string {
	hash := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(hash, "%d\n%s", len(p), p)
	}
	return hex.EncodeToString(hash.Sum(nil))[:16]
}

// lock takes the file's lock, which the kernel gives back when the process
// ends. It calls waiting once if another process holds it.
func lock(ctx context.Context, path string, waiting func()) (release func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		if waiting != nil {
			waiting()
			waiting = nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-tick.C:
		}
	}
}
