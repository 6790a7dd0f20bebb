package capacity_test

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/controller/capacity"
)

func prefixes(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func TestOf(t *testing.T) {
	for _, c := range []struct {
		name   string
		cidr   string
		subnet string // empty if not known
		held   []netip.Prefix
		want   capacity.Count
	}{
		{"a range that nobody uses", "10.0.1.64/26", "10.0.1.0/24", nil, capacity.Count{Used: 0, Free: 64}},
		{"addresses inside and outside", "10.0.1.64/26", "10.0.1.0/24", prefixes("10.0.1.64/32", "10.0.1.127/32", "10.0.1.128/32", "10.0.1.63/32"), capacity.Count{Used: 2, Free: 62}},
		{"a delegated prefix counts whole", "10.0.1.64/26", "10.0.1.0/24", prefixes("10.0.1.80/28"), capacity.Count{Used: 16, Free: 48}},
		{"a range within a delegated prefix is used up", "10.0.1.84/30", "10.0.1.0/24", prefixes("10.0.1.80/28"), capacity.Count{Used: 4, Free: 0}},
		{"the first four and the last of the subnet are AWS's", "10.0.1.0/24", "10.0.1.0/24", nil, capacity.Count{Used: 0, Free: 251}},
		{"the first four are AWS's", "10.0.1.0/25", "10.0.1.0/24", prefixes("10.0.1.4/32"), capacity.Count{Used: 1, Free: 123}},
		{"the last is AWS's", "10.0.1.128/25", "10.0.1.0/24", nil, capacity.Count{Used: 0, Free: 127}},
		{"a range among the first four", "10.0.1.2/31", "10.0.1.0/24", nil, capacity.Count{Used: 0, Free: 0}},
		{"an unknown subnet keeps nothing", "10.0.1.0/24", "", nil, capacity.Count{Used: 0, Free: 256}},
		{"a single address in use", "10.0.1.64/32", "10.0.1.0/24", prefixes("10.0.1.64/32"), capacity.Count{Used: 1, Free: 0}},
		{"IPv6 addresses do not count in IPv4", "10.0.1.64/26", "10.0.1.0/24", prefixes("2600:1f13:0:1::5/128"), capacity.Count{Used: 0, Free: 64}},
		{"an IPv6 range", "2600:1f13:0:1:1::/80", "2600:1f13:0:1::/64", prefixes("2600:1f13:0:1:1::5/128"), capacity.Count{Used: 1, Free: 1<<48 - 1}},
		{"a delegated IPv6 prefix", "2600:1f13:0:1:2::/79", "2600:1f13:0:1::/64", prefixes("2600:1f13:0:1:2::/80"), capacity.Count{Used: 1 << 48, Free: 1 << 48}},
		{"an IPv6 /66 is exact", "2600:1f13:0:1:4000::/66", "2600:1f13:0:1::/64", nil, capacity.Count{Used: 0, Free: 1 << 62}},
		{"an IPv6 /64 ends at the largest number", "2600:1f13:0:1::/64", "2600:1f13:0:1::/64", prefixes("2600:1f13:0:1::5/128"), capacity.Count{Used: 1, Free: math.MaxInt64}},
		{"all of IPv6", "::/0", "", prefixes("::/1"), capacity.Count{Used: math.MaxInt64, Free: math.MaxInt64}},
		{"all of IPv4", "0.0.0.0/0", "", nil, capacity.Count{Used: 0, Free: 1 << 32}},
		{"the end of IPv4", "255.255.255.252/30", "255.255.255.252/30", nil, capacity.Count{Used: 0, Free: 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var subnet netip.Prefix
			if c.subnet != "" {
				subnet = netip.MustParsePrefix(c.subnet)
			}
			if diff := cmp.Diff(c.want, capacity.Of(netip.MustParsePrefix(c.cidr), subnet, c.held)); diff != "" {
				t.Errorf("count (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzOf counts small ranges address by address.
func FuzzOf(f *testing.F) {
	f.Add(uint32(0x0a000140), uint8(26), uint32(0x0a000100), uint8(24), uint32(0x0a000150), uint8(28))
	f.Add(uint32(0xffffffff), uint8(32), uint32(0xfffffff0), uint8(28), uint32(0xffffffff), uint8(32))
	f.Fuzz(func(t *testing.T, a uint32, aBits uint8, b uint32, bBits uint8, h uint32, hBits uint8) {
		prefix := func(address uint32, bits uint8) netip.Prefix {
			four := [4]byte{byte(address >> 24), byte(address >> 16), byte(address >> 8), byte(address)}
			return netip.PrefixFrom(netip.AddrFrom4(four), 22+int(bits%11)).Masked()
		}
		cidr, subnet, held := prefix(a, aBits), prefix(b, bBits), prefix(h, hBits)
		kept := map[netip.Addr]bool{}
		first := subnet.Addr()
		for range 4 {
			kept[first] = true
			first = first.Next()
		}
		last := subnet.Addr()
		for next := last; next.IsValid() && subnet.Contains(next); next = next.Next() {
			last = next
		}
		kept[last] = true
		var used, unavailable int64
		for addr := cidr.Addr(); addr.IsValid() && cidr.Contains(addr); addr = addr.Next() {
			if held.Contains(addr) {
				used++
			}
			if kept[addr] {
				unavailable++
			}
		}
		size := int64(1) << (32 - cidr.Bits())
		got := capacity.Of(cidr, subnet, []netip.Prefix{held})
		if got.Used != used {
			t.Errorf("used %d, want %d", got.Used, used)
		}
		if want := max(0, size-used-unavailable); subnet.Bits() <= 29 && got.Free != want {
			t.Errorf("free %d, want %d", got.Free, want)
		}
	})
}

// TestHeldCountsAsOf compares the count by order with the one that looks at all.
func TestHeldCountsAsOf(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	subnet := netip.MustParsePrefix("10.0.0.0/22")
	for round := range 200 {
		var held []netip.Prefix
		taken := map[netip.Addr]bool{}
		for range random.IntN(60) {
			bits := []int{32, 32, 32, 28, 26}[random.IntN(5)]
			p, err := netip.AddrFrom4([4]byte{10, 0, byte(random.IntN(4)), byte(random.IntN(256))}).Prefix(bits)
			if err != nil {
				t.Fatal(err)
			}
			free := true
			for a := p.Addr(); p.Contains(a); a = a.Next() {
				free = free && !taken[a]
			}
			for a := p.Addr(); free && p.Contains(a); a = a.Next() {
				taken[a] = true
			}
			if free {
				held = append(held, p)
			}
		}
		sorted := capacity.NewHeld(append(held, held...)) // what comes twice counts once
		for bits := 22; bits <= 32; bits++ {
			for range 20 {
				cidr, err := netip.AddrFrom4([4]byte{10, 0, byte(random.IntN(4)), byte(random.IntN(256))}).Prefix(bits)
				if err != nil {
					t.Fatal(err)
				}
				if got, want := sorted.Of(cidr, subnet), capacity.Of(cidr, subnet, held); got != want {
					t.Fatalf("round %d: %s of %v: got %+v, want %+v", round, cidr, held, got, want)
				}
			}
		}
	}
}
