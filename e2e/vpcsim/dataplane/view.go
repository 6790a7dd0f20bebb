package dataplane

import (
	"net"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/fabric"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/world"
)

// View shows the world to the fabric. Attachment and source/destination check
// are as they are now, routes as the data path sees them.
type View struct{ *world.World }

// ENI implements fabric.VPC.
func (v View) ENI(id string) (fabric.ENI, bool) {
	e, err := v.World.ENI(id)
	if err != nil {
		return fabric.ENI{}, false
	}
	subnet, err := v.Subnet(e.Subnet)
	if err != nil {
		return fabric.ENI{}, false
	}
	mac, err := net.ParseMAC(e.MAC)
	if err != nil || len(mac) != len(fabric.MAC{}) {
		return fabric.ENI{}, false
	}
	return fabric.ENI{
		MAC: fabric.MAC(mac), IPv4: subnet.CIDR, IPv6: subnet.IPv6CIDR,
		Attached: e.Attachment != nil && e.Attachment.Status == world.AttachmentDone, SourceCheck: e.SourceDestCheck,
	}, true
}
