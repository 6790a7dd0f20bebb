package uml_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/uml"
)

// The test plays three more programs, by the environment: a kernel that starts
// a helper, as UML does, and a harness that spawns such a kernel.
const role = "UML_TEST_ROLE"

func TestMain(m *testing.M) {
	uml.Main()
	switch os.Getenv(role) {
	case "kernel":
		playKernel()
	case "harness":
		playHarness()
	default:
		os.Exit(m.Run())
	}
}

// playKernel starts a helper and writes both process ids to the file that the
// last argument names. It ends by itself if the argument before says so.
func playKernel() {
	helper := exec.Command("sleep", "600")
	if err := helper.Start(); err != nil {
		panic(err)
	}
	how, file := os.Args[len(os.Args)-2], os.Args[len(os.Args)-1]
	ids := strconv.Itoa(os.Getpid()) + " " + strconv.Itoa(helper.Process.Pid)
	if err := os.WriteFile(file+".part", []byte(ids), 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(file+".part", file); err != nil {
		panic(err)
	}
	println("argument:", how)
	switch how {
	case "halt":
		return
	case "panic":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	time.Sleep(time.Hour)
}

func playHarness() {
	if err := os.Setenv(role, "kernel"); err != nil {
		panic(err)
	}
	if _, err := uml.Spawn(spec(os.Args[1], "run")); err != nil {
		panic(err)
	}
	time.Sleep(time.Hour)
}

// With processes that take turns on different processors, workers are four
// times slower.
func TestAKernelAndItsHelpersRunOnOneProcessorAndTheNextKernelOnAnother(t *testing.T) {
	var all, first, second unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	for turn, set := range []*unix.CPUSet{&first, &second} {
		t.Setenv(role, "kernel")
		s := spec(t.TempDir(), "run")
		s.Turn = turn
		k, err := uml.Spawn(s)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { k.Stop(t.Context()) })
		var helpers unix.CPUSet
		pids := processes(t, s.Dir)
		if err := errors.Join(unix.SchedGetaffinity(pids[0], set), unix.SchedGetaffinity(pids[1], &helpers)); err != nil {
			t.Fatal(err)
		}
		if set.Count() != 1 || helpers != *set {
			t.Errorf("the kernel may run on %v, its helper on %v, want one and the same processor", *set, helpers)
		}
	}
	if all.Count() > 1 && first == second {
		t.Errorf("both kernels run on %v of %v", first, all)
	}
}

func spec(dir, how string) uml.Spec {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return uml.Spec{
		Name: "worker", Dir: dir, Kernel: self, Memory: "64M", Init: "/init",
		Links: []uml.Link{{Socket: "/run/e0", MAC: "02:00:00:00:00:01"}}, Args: []string{how, filepath.Join(dir, "ids")},
	}
}

// kernel spawns a kernel and returns it with its processes.
func kernel(t *testing.T, how string) (k *uml.Kernel, dir string, pids []int) {
	t.Helper()
	t.Setenv(role, "kernel")
	dir = t.TempDir()
	k, err := uml.Spawn(spec(dir, how))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Stop(t.Context()) })
	return k, dir, processes(t, dir)
}

func processes(t *testing.T, dir string) (pids []int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(filepath.Join(dir, "ids"))
		if err != nil {
			continue
		}
		for id := range strings.FieldsSeq(string(text)) {
			pid, err := strconv.Atoi(id)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
		return pids
	}
	t.Fatal("the kernel has not started")
	return nil
}

// gone waits until the processes have ended. Nobody may reap them here, so a
// zombie counts as ended.
func gone(t *testing.T, pids []int) {
	t.Helper()
	left := map[int]string{}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		clear(left)
		for _, pid := range pids {
			text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
			if err == nil && !strings.Contains(string(text), ") Z ") {
				left[pid] = string(text)
			}
		}
		if len(left) == 0 {
			return
		}
	}
	t.Errorf("left: %v", left)
}

func TestStopLeavesNothing(t *testing.T) {
	k, _, pids := kernel(t, "run")
	if err := k.Err(); err != nil {
		t.Errorf("it runs, but: %v", err)
	}
	for range 2 {
		if err := k.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	gone(t, pids)
}

func TestAKernelThatEndsTakesItsHelpersAlong(t *testing.T) {
	for name, c := range map[string]struct{ how, want string }{
		"by a halt, which is reported with the console's end":  {"halt", "it has halted"},
		"by a panic, which is reported with the console's end": {"panic", "exit status 137"},
	} {
		t.Run(name, func(t *testing.T) {
			k, _, pids := kernel(t, c.how)
			<-k.Over()
			gone(t, pids)
			err := k.Err()
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "argument: "+c.how) {
				t.Errorf("ended with %v, want %q", err, c.want)
			}
		})
	}
}

func TestNothingIsLeftOfAHarnessThatIsKilled(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	harness := exec.Command(self, dir)
	harness.Env = append(os.Environ(), role+"=harness")
	if err := harness.Start(); err != nil {
		t.Fatal(err)
	}
	pids := processes(t, dir)
	if err := harness.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	harness.Wait()
	gone(t, pids)
}

func TestTheSupervisorOutlivesASignalThatIsNotForIt(t *testing.T) {
	k, _, pids := kernel(t, "run")
	supervisor := parent(t, pids[0])
	if err := syscall.Kill(supervisor, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-k.Over():
		t.Error("it ended")
	case <-time.After(50 * time.Millisecond):
	}
	if err := k.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone(t, pids)
}

func parent(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if id, ok := strings.CutPrefix(line, "PPid:"); ok {
			ppid, err := strconv.Atoi(strings.TrimSpace(id))
			if err != nil {
				t.Fatal(err)
			}
			return ppid
		}
	}
	t.Fatalf("%d has no parent", pid)
	return 0
}

func TestTheKernelIsToldWhatItIs(t *testing.T) {
	_, _, pids := kernel(t, "run")
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pids[0]) + "/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
	want := []string{
		"root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet", "panic=-1", "noreboot", "init=/init",
		"con=null", "con0=null,fd:1", "ssl=null", "vec0:transport=bess,dst=/run/e0,depth=128,mac=02:00:00:00:00:01", "run",
	}
	if diff := cmp.Diff(want, words[4:len(words)-1]); diff != "" {
		t.Errorf("command line (-want +got):\n%s", diff)
	}
}

func TestAKernelThatCannotStartSaysSo(t *testing.T) {
	s := spec(t.TempDir(), "run")
	s.Kernel = filepath.Join(s.Dir, "missing")
	k, err := uml.Spawn(s)
	if err != nil {
		t.Fatal(err)
	}
	<-k.Over()
	if err := k.Err(); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("Err: %v", err)
	}
}

func TestTheLibraryForLargeRegistersCompiles(t *testing.T) {
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("no C compiler; it is needed on processors with AMX only")
	}
	library, err := uml.Preload(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(library); library != "" && errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is missing", library)
	}
}
