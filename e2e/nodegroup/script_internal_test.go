package nodegroup

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestENIsAreReadiedWhateverTheirNamesAre(t *testing.T) {
	for name, links := range map[string][2]string{
		"as most types name them":            {"ens6", "ens7"},
		"as types of the 8th generation do":  {"enp40s0", "enp41s0"},
		"as Amazon Linux 2 did":              {"eth1", "eth2"},
		"one as the other's alternative one": {"ens6", "eth7"},
	} {
		t.Run(name, func(t *testing.T) {
			m := boot(t, "m5.xlarge")
			m.adopt(m.attach(0, 1, links[0]))
			m.attach(0, 2, links[1])
			m.must(0, "1=eth1 2=eth2",
				"multus-enis: eth1 is ready: "+links[0]+", managed by networkd, without DHCP",
				"multus-enis: eth2 is ready: "+links[1]+", not managed")
			first, second := managed(links[0], "eth1"), unmanaged(links[1], "eth2")
			if links[0] == "eth1" {
				first.Altnames, second.Altnames = nil, nil
			}
			m.is(first, second)
			m.must(0, "1=eth1 2=eth2") // which changes nothing
			m.is(first, second)
		})
	}
}

func TestENIsThatComeWhileTheScriptWaits(t *testing.T) {
	for _, adopted := range []bool{true, false} {
		t.Run(fmt.Sprintf("managed %v", adopted), func(t *testing.T) {
			m := boot(t, "m5.xlarge")
			seconds := 0
			m.asleep = func() {
				seconds++
				if seconds != 3 && seconds != 5 {
					return
				}
				l := m.attach(0, int32(seconds/2), fmt.Sprintf("ens%d", 5+seconds/2))
				if adopted {
					m.adopt(l)
				}
			}
			m.must(0, "1=eth1 2=eth2")
			if seconds != 5 {
				t.Errorf("the script slept %d times; want 5", seconds)
			}
			want := []*link{unmanaged("ens6", "eth1"), unmanaged("ens7", "eth2")}
			if adopted {
				want = []*link{managed("ens6", "eth1"), managed("ens7", "eth2")}
			}
			m.is(want...)
		})
	}
}

func TestTheScriptGivesUpAndMayTryAgain(t *testing.T) {
	m := boot(t, "m5.xlarge")
	m.attach(0, 1, "ens6")
	m.env = append(m.env, "ENIS_TIMEOUT=0")
	m.must(1, "1=eth1 2=eth2", "multus-enis: eth1 is ready: ens6, not managed", "multus-enis: eth2 is not ready: EC2 has not attached it after ")
	m.is(unmanaged("ens6", "eth1"))
	m.attach(0, 2, "ens7")
	m.must(0, "1=eth1 2=eth2")
	m.is(unmanaged("ens6", "eth1"), unmanaged("ens7", "eth2"))
}

func TestAWorkerIsRebooted(t *testing.T) {
	m := boot(t, "m5.xlarge")
	m.adopt(m.attach(0, 1, "ens6"))
	m.attach(0, 2, "ens7")
	m.must(0, "1=eth1 2=eth2")
	m.reboot()
	if l := m.world.named("ens6"); l.Address || l.Awaited {
		t.Errorf("before the script runs the link is %+v; want it without an address, and nobody to wait for one", l)
	}
	m.must(0, "1=eth1 2=eth2")
	m.is(managed("ens6", "eth1"), unmanaged("ens7", "eth2"))
}

func TestNodeadmDecidesAfterTheScript(t *testing.T) {
	m := boot(t, "m5.xlarge")
	l := m.attach(0, 1, "ens6")
	m.must(0, "1=eth1", "multus-enis: eth1 is ready: ens6, not managed")
	m.adopt(m.world.named(l.Name))
	m.is(managed("ens6", "eth1"))
}

func TestANameThatAnotherLinkHas(t *testing.T) {
	m := boot(t, "m5.xlarge")
	m.plug(&link{Name: "eth1", MAC: "02:00:00:00:09:09", MTU: 1500, Device: true})
	m.attach(0, 1, "ens6")
	m.attach(0, 2, "ens7")
	m.must(1, "1=eth1 2=eth2", "eth1 is another link's name", "multus-enis: eth1 is not ready: ens6, see above", "multus-enis: eth2 is ready: ens7, not managed")
	m.is(&link{Name: "eth1", MTU: 1500, Device: true}, unmanaged("ens6"), unmanaged("ens7", "eth2"))
}

func TestOtherLinksAreLeftAlone(t *testing.T) {
	m := boot(t, "m5.xlarge")
	foreign := m.attach(0, 3, "ens8") // the VPC CNI's
	mac := m.attach(0, 1, "ens6").MAC
	m.plug(&link{Name: "ens5.7", MAC: mac, MTU: 1500}) // a VLAN, which is listed before its device
	m.must(0, "1=eth1")
	m.is(&link{Name: foreign.Name, MTU: 1500, Device: true}, unmanaged("ens6", "eth1"), &link{Name: "ens5.7", MTU: 1500})
	for name, want := range map[string]string{"ens5": "1 0", "ens8": "1 0", "ens5.7": "1 0", "ens6": "0 1"} {
		if got := m.read("proc/sys/net/ipv6/conf/"+name+"/accept_ra") + " " + m.read("proc/sys/net/ipv6/conf/"+name+"/addr_gen_mode"); got != want {
			t.Errorf("%s: accept_ra and addr_gen_mode are %s; want %s", name, got, want)
		}
	}
	files, _ := filepath.Glob(m.world.path(dropIn("*", "*")))
	if len(files) != 1 || !strings.Contains(files[0], "ens6") {
		t.Errorf("drop-ins %q", files)
	}
}

func TestSeveralNetworkCards(t *testing.T) {
	m := boot(t, "two.cards")
	m.attach(1, 1, "ens33")
	m.attach(0, 1, "ens6")
	m.must(0, "1=eth1 1.1=eth2")
	m.is(unmanaged("ens33", "eth2"), unmanaged("ens6", "eth1"))
}

func TestSettingsThatCannotBeRead(t *testing.T) {
	for _, enis := range []string{
		"", " ", "1", "eth1", "1=", "0=eth0", "0.0=eth0", "01=eth1", "1.2.3=eth1", "100=eth1", "1=0123456789abcdef",
		"1=eth1 2", "1=eth1 1=eth2", "1=eth1 0.1=eth2", "1=../eth1", "1=-up", "1=$(id)", "1=eth1,2=eth2", "*",
	} {
		m := boot(t, "m5.xlarge")
		m.must(2, enis)
		m.is()
		if len(m.world.Commands) > 0 {
			t.Errorf("ENIS=%q: %q was called", enis, m.world.Commands)
		}
	}
	m := boot(t, "m5.xlarge")
	m.env = append(m.env, "ENIS_TIMEOUT=4m")
	m.must(2, "1=eth1", "multus-enis: ENIS must name an ENI, and ENIS_TIMEOUT a number of seconds")
}

func TestTheScriptIsShortAndCleanOfShellcheck(t *testing.T) {
	data, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(data, []byte("\n")); lines > 80 {
		t.Errorf("%d lines; want at most 80", lines)
	}
	checker, err := exec.LookPath("shellcheck")
	if err != nil {
		t.Skip("shellcheck is not installed here: sudo apt-get install shellcheck")
	}
	if out, err := exec.CommandContext(t.Context(), checker, script).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
