package testbed

import (
	"context"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/debian"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/image"
)

// Keepalived is the image of Debian's keepalived, which every worker has. It
// reads /etc/keepalived/keepalived.conf, speaks VRRP and logs to its standard
// output. It must be root, who alone may open raw sockets and change addresses
// where privileges cannot be gained, with the capabilities NET_ADMIN and
// NET_RAW and no other. The options --pid and --vrrp_pid name files that it can
// write and that do not outlive the container, so no volume: it would take its
// own process number of last time for another keepalived, and end. A VPC drops
// multicast: the configuration names its unicast_peer.
const Keepalived = "docker.io/lab/keepalived:1"

// keepalivedImage gets it from Debian's packages.
func (l *Lab) keepalivedImage(ctx context.Context) (image.Image, error) {
	const program = "usr/sbin/keepalived"
	cache, err := debian.Cache()
	if err != nil {
		return image.Image{}, err
	}
	dir, err := debian.Program(ctx, l.options.Progress, cache, "keepalived", program)
	if err != nil {
		return image.Image{}, err
	}
	files, err := image.ReadTree(dir)
	if err != nil {
		return image.Image{}, err
	}
	return image.Image{
		Tag: Keepalived, Name: program, Files: files, User: "0",
		Args: []string{"--vrrp", "--dont-fork", "--log-console", "--log-detail"},
	}, nil
}
