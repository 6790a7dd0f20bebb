package ocitest

import (
	"io/fs"
	"path"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/oci"
)

// info is a file as package tar wants to see it.
type info struct{ file oci.File }

// Name returns the last element of the path.
func (i info) Name() string { return path.Base(i.file.Path) }

// Size returns the length of the content.
func (i info) Size() int64 { return int64(len(i.file.Content)) }

// Mode returns the type and the permissions.
func (i info) Mode() fs.FileMode { return i.file.Mode }

// ModTime returns the time of the last change.
func (i info) ModTime() time.Time { return i.file.Modified }

// IsDir reports whether it is a directory.
func (i info) IsDir() bool { return i.file.Mode.IsDir() }

// Sys returns nothing.
func (i info) Sys() any { return nil }
