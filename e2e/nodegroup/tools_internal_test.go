package nodegroup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// The test program plays ip, networkctl and sleep when it is called by these
// names: the script finds them first in its PATH.
func TestMain(m *testing.M) {
	play, ok := map[string]func(w *worker, args []string) error{
		"ip": (*worker).ip, "networkctl": (*worker).networkctl, "sleep": (*worker).sleep,
	}[filepath.Base(os.Args[0])]
	if !ok {
		goleak.VerifyTestMain(m)
		return
	}
	if err := playTool(play); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

func playTool(play func(*worker, []string) error) error {
	w := &worker{root: os.Getenv("MULTUS_ENIS_ROOT")}
	if err := w.load(); err != nil {
		return err
	}
	w.Commands = append(w.Commands, strings.Join(append([]string{filepath.Base(os.Args[0])}, os.Args[1:]...), " "))
	return errors.Join(play(w, os.Args[1:]), w.save())
}

// worker is a host as its tools show it. Below root are its files, and a file
// with what a kernel keeps in memory.
type worker struct {
	root     string
	Links    []*link
	Commands []string
	// Sleep is a URL that answers when a second is over.
	Sleep string
}

type link struct {
	Name, MAC string
	Altnames  []string
	MTU       int
	Up        bool
	// Device is false for links without hardware, such as VLANs.
	Device bool
	// Loaded says that networkd manages the link and has read the files, Awaited
	// that a boot waits until it is online, and Address that the host has an
	// address on it.
	Loaded, Awaited, Address bool
}

func (w *worker) path(name string) string { return filepath.Join(w.root, filepath.FromSlash(name)) }

func (w *worker) load() error {
	data, err := os.ReadFile(w.path("kernel.json"))
	if err != nil {
		return err
	}
	w.Links = nil
	return json.Unmarshal(data, w)
}

func (w *worker) save() error {
	data, err := json.Marshal(w)
	if err != nil {
		return err
	}
	return os.WriteFile(w.path("kernel.json"), data, 0o600)
}

// named finds a link by its name or an alternative one, as the kernel does.
func (w *worker) named(name string) *link {
	for _, l := range w.Links {
		if l.Name == name || slices.Contains(l.Altnames, name) {
			return l
		}
	}
	return nil
}

// ip is iproute2, of which it knows the three commands of the script.
func (w *worker) ip(args []string) error {
	switch {
	case fits(args, "-o link show dev *"):
		return w.show(args[4])
	case fits(args, "link set dev * mtu 9001 up") && w.named(args[3]) != nil:
		l := w.named(args[3])
		l.MTU, l.Up = 9001, true
	case fits(args, "link property add dev * altname *") && w.named(args[4]) != nil:
		if w.named(args[6]) != nil {
			return errors.New("RTNETLINK answers: File exists")
		}
		l := w.named(args[4])
		l.Altnames = append(l.Altnames, args[6])
	default:
		return fmt.Errorf("ip %q: not expected", args)
	}
	return nil
}

func (w *worker) show(name string) error {
	l := w.named(name)
	if l == nil {
		return fmt.Errorf("device %q does not exist", name)
	}
	fmt.Printf("%d: %s: <BROADCAST,MULTICAST> mtu %d qdisc mq state DOWN mode DEFAULT group default qlen 1000\\    link/ether %s brd ff:ff:ff:ff:ff:ff",
		slices.Index(w.Links, l)+1, l.Name, l.MTU, l.MAC)
	for _, altname := range l.Altnames {
		fmt.Printf("\\    altname %s", altname)
	}
	fmt.Println()
	return nil
}

// fits reports whether a command's words are those of the form, in which * is
// any word.
func fits(args []string, form string) bool {
	return slices.EqualFunc(args, strings.Fields(form), func(arg, word string) bool { return word == "*" || word == arg })
}

// networkctl is networkd's. It manages a link if there is a file for it.
func (w *worker) networkctl(args []string) error {
	switch {
	case fits(args, "reload"):
		for _, l := range w.Links {
			if _, err := os.Stat(w.path(nodeadmFile(l.Name))); err == nil && !l.Loaded {
				w.configure(l)
			}
		}
	case fits(args, "reconfigure *") && w.named(args[1]) != nil:
		w.configure(w.named(args[1]))
	default:
		return fmt.Errorf("networkctl %q: not expected", args)
	}
	return nil
}

// configure does what the link's file and its drop-ins say, the last word of
// each setting.
func (w *worker) configure(l *link) {
	text, err := os.ReadFile(w.path(nodeadmFile(l.Name)))
	if err != nil {
		return
	}
	dropIns, _ := filepath.Glob(w.path(dropIn(l.Name, "*")))
	for _, name := range dropIns {
		more, _ := os.ReadFile(name)
		text = append(text, more...)
	}
	settings := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			settings[key] = value
		}
	}
	l.Loaded, l.Up, l.Awaited = true, true, settings["RequiredForOnline"] != "no"
	l.Address = settings["DHCP"] != "no" || settings["LinkLocalAddressing"] != "no" || settings["IPv6AcceptRA"] != "no"
}

// sleep returns when the test says that the time is over.
func (w *worker) sleep(args []string) error {
	if !fits(args, "1") {
		return fmt.Errorf("sleep %q: not expected", args)
	}
	answer, err := http.Get(w.Sleep)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	err = errors.Join(err, answer.Body.Close(), w.load())
	w.Commands = append(w.Commands, "sleep 1")
	return err
}

// nodeadmFile is the file by which nodeadm has networkd manage a link.
func nodeadmFile(name string) string { return "run/systemd/network/70-eks-" + name + ".network" }

func dropIn(name, file string) string {
	return "etc/systemd/network/70-eks-" + name + ".network.d/" + file
}
