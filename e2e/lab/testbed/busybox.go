package testbed

import (
	"context"
	"os"
	"path/filepath"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/debian"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/image"
)

// Busybox is the image of Debian's busybox, which every worker has under the
// name and tag of the one in config/samples, so that these run unchanged.
const Busybox = "docker.io/library/busybox:1.37.0"

// busyboxImage gets it from Debian's packages.
func (l *Lab) busyboxImage(ctx context.Context) (image.Image, error) {
	const program = "bin/busybox"
	cache, err := debian.Cache()
	if err != nil {
		return image.Image{}, err
	}
	dir, err := debian.Program(ctx, l.options.Progress, cache, "busybox", program)
	if err != nil {
		return image.Image{}, err
	}
	files, err := image.ReadTree(dir)
	if err != nil {
		return image.Image{}, err
	}
	text, err := os.ReadFile(filepath.Join(dir, program))
	if err != nil {
		return image.Image{}, err
	}
	for _, applet := range []string{"sh", "ip", "ping", "sleep"} {
		files = append(files, image.File{Path: "bin/" + applet, Mode: 0o755, Content: text}) // busybox chooses the applet by this name
	}
	return image.Image{Tag: Busybox, Name: program, Files: files, User: "0", Args: []string{"sh"}}, nil
}
