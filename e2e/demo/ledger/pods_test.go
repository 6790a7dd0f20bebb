package ledger_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/ledger"
)

func addrs(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, text := range texts {
		out = append(out, netip.MustParseAddr(text))
	}
	return out
}

// three are two pods on worker-1 and one on worker-2, who hear whom they say.
func three(first, second, third []netip.Addr) []*ledger.Pod {
	pod := func(name, worker, eni, addr string, heard []netip.Addr) *ledger.Pod {
		return &ledger.Pod{Name: name, Worker: worker, ENI: eni, Addr: netip.MustParseAddr(addr), Heard: heard}
	}
	return []*ledger.Pod{
		pod("a", "worker-1", "eni-w1-eth1", "10.10.1.64", first), pod("b", "worker-1", "eni-w1-eth1", "10.10.1.65", second),
		pod("c", "worker-2", "eni-w2-eth1", "10.10.1.66", third),
	}
}

func judge(t *testing.T, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

func TestThePictureOfTheArticleIsToldFromOthers(t *testing.T) {
	for name, c := range map[string]struct {
		pods []*ledger.Pod
		want string
	}{
		"each hears those on its worker": {three(addrs("10.10.1.65"), addrs("10.10.1.64"), nil), ""},
		"one hears nobody":               {three(nil, addrs("10.10.1.64"), nil), "a on worker-1 hears nobody; 10.10.1.65 is on worker-1"},
		"one hears another worker":       {three(addrs("10.10.1.65"), addrs("10.10.1.64"), addrs("10.10.1.64")), "c on worker-2 hears 10.10.1.64"},
		"all are on one worker":          {three(addrs("10.10.1.65"), addrs("10.10.1.64"), nil)[:2], "of 2 pods, none share a worker, or all do"},
	} {
		t.Run(name, func(t *testing.T) { judge(t, ledger.OnlyOnOneWorker(c.pods), c.want) })
	}
}

func TestThePictureOfTheCureIsToldFromOthers(t *testing.T) {
	all := three(addrs("10.10.1.65", "10.10.1.66"), addrs("10.10.1.64", "10.10.1.66"), addrs("10.10.1.64", "10.10.1.65"))
	held := func(third string) ledger.Holders {
		return ledger.Holders{all[0].Addr: "eni-w1-eth1", all[1].Addr: "eni-w1-eth1", all[2].Addr: third}
	}
	deaf := three(addrs("10.10.1.65"), all[1].Heard, all[2].Heard)
	for name, c := range map[string]struct {
		pods []*ledger.Pod
		held ledger.Holders
		want string
	}{
		"all hear all":                    {all, held("eni-w2-eth1"), ""},
		"one misses another":              {deaf, held("eni-w2-eth1"), "pod a on worker-1 hears 10.10.1.65, want 2 others"},
		"an ENI of another worker has it": {all, held("eni-w1-eth1"), `10.10.1.66 of pod c on worker-2 is held by "eni-w1-eth1"`},
	} {
		t.Run(name, func(t *testing.T) { judge(t, ledger.Everywhere(c.pods, c.held), c.want) })
	}
}

func TestPodsAreListedWithThoseThatAnswer(t *testing.T) {
	want := [][]string{
		{"a", "worker-1", "10.10.1.64", "10.10.1.65  10.10.1.66"}, {"b", "worker-1", "10.10.1.65", "nobody"}, {"c", "worker-2", "10.10.1.66", "nobody"},
	}
	if diff := cmp.Diff(want, ledger.PodRows(three(addrs("10.10.1.65", "10.10.1.66"), nil, nil))); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}
