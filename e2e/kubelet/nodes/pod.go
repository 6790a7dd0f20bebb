package nodes

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/kubelet"
)

// pod is one pod that is played.
type pod struct {
	nodes   *Nodes
	of      *corev1.Pod // as it was first seen
	address netip.Addr
	began   metav1.Time

	end     chan struct{} // closed when it was told to end
	endOnce sync.Once
	gone    chan struct{} // closed when the API server has it no longer
	running atomic.Pointer[kubelet.Container]
	shown   atomic.Pointer[corev1.Pod] // as the API server showed it last
}

func newPod(n *Nodes, of *corev1.Pod, address netip.Addr) *pod {
	p := &pod{nodes: n, of: of, address: address, began: metav1.Now(), end: make(chan struct{}), gone: make(chan struct{})}
	p.shown.Store(of)
	return p
}

func (n *Nodes) logOf(pod string) string { return filepath.Join(n.options.Dir, pod+".log") }

// live plays the pod from its binding to its removal, or until ctx ends.
func (p *pod) live(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-p.gone:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := p.run(ctx); err != nil {
		p.nodes.complain(ctx, "pod "+p.of.Name, err)
		p.wait(ctx, nil)
	}
	if ctx.Err() != nil {
		return
	}
	err := p.nodes.client.CoreV1().Pods(p.of.Namespace).Delete(ctx, p.of.Name, metav1.DeleteOptions{
		GracePeriodSeconds: new(int64), Preconditions: &metav1.Preconditions{UID: &p.of.UID},
	})
	p.nodes.complain(ctx, "remove pod "+p.of.Name, err)
}

// run mounts the volumes and runs the container until the pod ends.
func (p *pod) run(ctx context.Context) error {
	if len(p.of.Spec.Containers) != 1 || len(p.of.Spec.InitContainers) > 0 {
		return errors.New("only pods of one container are played")
	}
	repository, _, _ := strings.Cut(p.of.Spec.Containers[0].Image, ":")
	program, ok := p.nodes.options.Programs[repository]
	if !ok {
		return fmt.Errorf("no program stands in for image %s", p.of.Spec.Containers[0].Image)
	}
	place, err := p.place(ctx)
	if err != nil || place.Volumes == nil {
		return err
	}
	for restarts := int32(0); ; restarts++ {
		again, err := p.once(ctx, program, place, restarts)
		if err != nil || !again {
			return err
		}
		// A kubelet starts a container again at once, and then ever later.
		if restarts > 0 && !p.wait(ctx, time.After(10*time.Second)) {
			return nil
		}
	}
}

// place prepares where the container runs. It has no volumes when the pod ended
// before its Secrets were there.
func (p *pod) place(ctx context.Context) (Place, error) {
	kubeconfig, err := p.nodes.options.Kubeconfig(p.of.Namespace, p.of.Spec.ServiceAccountName)
	if err != nil {
		return Place{}, err
	}
	place := Place{Address: Loopback(netip.AddrPortFrom(p.address, 0)).Addr(), Kubeconfig: kubeconfig}
	volumes := map[string]string{}
	for _, mount := range p.of.Spec.Containers[0].VolumeMounts {
		i := slices.IndexFunc(p.of.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name && v.Secret != nil })
		if i < 0 {
			continue // the token of the service account
		}
		v := &volume{dir: filepath.Join(p.nodes.options.Dir, "volumes", string(p.of.UID), mount.Name)}
		secret := p.of.Spec.Volumes[i].Secret.SecretName
		for mounted := false; !mounted; {
			if mounted, err = p.mount(ctx, v, secret); err != nil {
				return Place{}, err
			}
			if !mounted && !p.wait(ctx, time.After(remount)) {
				return Place{}, nil
			}
		}
		volumes[mount.MountPath] = v.dir
		p.nodes.group.Go(func() { p.follow(ctx, v, secret) })
	}
	place.Volumes = volumes
	return place, nil
}

// wait waits for timer, and says whether the pod is to go on.
func (p *pod) wait(ctx context.Context, timer <-chan time.Time) bool {
	select {
	case <-timer:
		return true
	case <-p.end:
	case <-ctx.Done():
	}
	return false
}

// once runs the container once and says whether to run it again.
func (p *pod) once(ctx context.Context, program Program, place Place, restarts int32) (again bool, err error) {
	log, err := os.OpenFile(p.nodes.logOf(p.of.Name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return false, err
	}
	defer log.Close()
	seen := p.of.DeepCopy()
	seen.Status.HostIP, seen.Status.PodIP = hostIP, p.address.String()
	c, err := kubelet.StartContainer(ctx, kubelet.ContainerOptions{
		Pod: seen, Container: p.of.Spec.Containers[0].Name, Program: program.Path, Sandbox: kubelet.Host{},
		Flags: program.Flags(place), Address: place.Address, Log: log,
	})
	if err != nil {
		return false, err
	}
	p.running.Store(c)
	defer p.running.Store(nil)
	p.report(ctx, state{restarts: restarts})
	var probing sync.WaitGroup // ends with the container, not when the pod is told to
	probing.Go(func() {
		c.FollowReadiness(ctx, func(ready bool) {
			if ready != p.shownReady() {
				p.report(ctx, state{restarts: restarts, ready: ready})
			}
		})
	})
	defer probing.Wait()
	select {
	case <-c.Over():
		probing.Wait()
		p.wait(ctx, time.After(relist)) // so late is it noticed
		p.report(ctx, state{restarts: restarts, ended: true, exit: c.Exit()})
		return true, nil
	case <-p.end:
		c.Stop(time.Duration(*p.of.Spec.TerminationGracePeriodSeconds) * time.Second)
	case <-ctx.Done():
		c.Stop(0)
	}
	return false, nil
}
