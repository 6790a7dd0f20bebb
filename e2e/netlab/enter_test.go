package netlab_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
)

// Roles that the test program plays when it enters a lab as its own child.
var roles = map[string]func() int{
	"exit": func() int { return 7 },
	"trap": func() int {
		got := make(chan os.Signal, 1)
		signal.Notify(got, syscall.SIGTERM)
		fmt.Println(os.Getpid())
		<-got
		fmt.Println("terminated")
		return 3
	},
	"refused": func() int { return newWithout("net") },
	"root":    func() int { return newWithout("user") },
	"new": func() int {
		_, err := netlab.New(netlab.Options{})
		fmt.Println(errors.Is(err, netlab.ErrUnavailable), err)
		return 0
	},
}

// entering returns a command that runs this program in a role, in a lab of
// its own.
func entering(role string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "MULTUS_IPMGR_NETLAB=") || strings.HasPrefix(kv, childKey+"=")
	})
	cmd.Env = append(cmd.Env, childKey+"="+role)
	return cmd
}

func TestExitCodeComesOutOfTheLab(t *testing.T) {
	newLab(t, netlab.Options{})
	cmd := entering("exit")
	_ = cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != 7 {
		t.Errorf("exit code %d, want 7", got)
	}
}

// startTrap starts the role "trap" and returns the process inside with what it
// will still print.
func startTrap(t *testing.T) (outer *exec.Cmd, innerPID int, out *bufio.Reader) {
	t.Helper()
	cmd := entering("trap")
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out = bufio.NewReader(pipe)
	line, err := out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if pid == cmd.Process.Pid {
		t.Fatal("the program did not start a second process")
	}
	return cmd, pid, out
}

func TestSignalsReachTheProgramInTheLab(t *testing.T) {
	newLab(t, netlab.Options{})
	outer, _, out := startTrap(t)
	if err := outer.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(out)
	_ = outer.Wait()
	if got := outer.ProcessState.ExitCode(); string(rest) != "terminated\n" || got != 3 {
		t.Errorf("printed %q and exited with %d, want terminated and 3", rest, got)
	}
}

func TestProgramInTheLabDiesWithTheOneOutside(t *testing.T) {
	newLab(t, netlab.Options{})
	outer, _, out := startTrap(t)
	if err := outer.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// The pipe ends when the last process that holds it is gone.
	if _, err := io.ReadAll(out); err != nil {
		t.Fatal(err)
	}
	_ = outer.Wait()
}

func TestRootNeedsNoUserNamespace(t *testing.T) {
	newLab(t, netlab.Options{})
	out, err := entering("root").CombinedOutput()
	if err != nil || string(out) != "false <nil>\n" {
		t.Errorf("%v: %s", err, out)
	}
}

func TestRefusalSaysWhatToDo(t *testing.T) {
	newLab(t, netlab.Options{})
	out, err := entering("refused").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"true network namespaces are not available", "no space left on device", "user.max_net_namespaces"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the error lacks %q: %s", want, out)
		}
	}
}

// newWithout runs "new" where nobody below this user namespace gets another
// namespace of the kind, and returns its exit code.
func newWithout(kind string) int {
	if err := os.WriteFile("/proc/sys/user/max_"+kind+"_namespaces", []byte("0"), 0); err != nil {
		fmt.Println(err)
		return 1
	}
	cmd := entering("new")
	cmd.Stdout = os.Stdout
	_ = cmd.Run()
	return cmd.ProcessState.ExitCode()
}
