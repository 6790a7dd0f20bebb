package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/testbed"
)

// stopTimeout bounds the end of everything. It takes a second.
const stopTimeout = 30 * time.Second

// up runs a lab until ctx ends or somebody says down.
func up(ctx context.Context, dir string, args []string) error {
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	workers := flags.Int("workers", 2, "how many workers, 1 to 3")
	memory := flags.String("memory", "1000M", "what each worker sees; the host pays for what it uses")
	if err := flags.Parse(args); err != nil {
		return errUsage
	}
	made := os.Mkdir(dir, 0o700) // what was there already is not ours to remove
	if made != nil && !errors.Is(made, fs.ErrExist) {
		return made
	}
	ctx, over := context.WithCancel(ctx)
	defer over()
	door, err := openDoor(ctx, filepath.Join(dir, doorName), over)
	if err != nil {
		return err
	}
	lab, err := testbed.Start(ctx, testbed.Options{Dir: dir, Workers: *workers, Memory: *memory, Progress: os.Stderr})
	if err != nil {
		return errors.Join(err, door.close())
	}
	door.show(lab)
	fmt.Fprintf(os.Stderr, "\nexport KUBECONFIG=%s\nThe lab runs until Ctrl-C or: go run -C e2e/lab . down\n", lab.Kubeconfig())
	<-ctx.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err = errors.Join(lab.Stop(ctx), door.close())
	if made == nil && err == nil {
		err = os.RemoveAll(dir)
	}
	return err
}
