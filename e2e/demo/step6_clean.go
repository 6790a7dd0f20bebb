package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// clean ends everything and verifies that nothing is left.
func (d *demo) clean(context.Context) error {
	if err := d.close(); err != nil {
		return err
	}
	if left := children(); len(left) > 0 {
		return fmt.Errorf("processes are left: %s", strings.Join(left, ", "))
	}
	if err := empty(d.dir); err != nil {
		return err
	}
	d.tell.Holds("all processes have ended, the pods' namespaces and the files are gone")
	return nil
}

// children returns the names of this process's children.
func children() []string {
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return nil
	}
	var names []string
	for _, list := range lists {
		pids, _ := os.ReadFile(list) // a thread may end meanwhile
		for pid := range strings.FieldsSeq(string(pids)) {
			name, _ := os.ReadFile("/proc/" + pid + "/comm")
			names = append(names, strings.TrimSpace(string(name)))
		}
	}
	return names
}

// empty removes all files of the demo.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return errors.Join(errs...)
}
