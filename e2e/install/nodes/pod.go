package nodes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/podrun"
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
	running atomic.Pointer[Process]
}

func newPod(n *Nodes, of *corev1.Pod, address netip.Addr) *pod {
	return &pod{nodes: n, of: of, address: address, began: metav1.Now(), end: make(chan struct{}), gone: make(chan struct{})}
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
	c := p.of.Spec.Containers[0]
	seen := p.of.DeepCopy()
	seen.Status.PodIP = p.address.String()
	env, err := podrun.Environ(seen, c)
	if err != nil {
		return false, err
	}
	process, err := Run(p.nodes.logOf(p.of.Name), program.Path, slices.Concat(c.Args, program.Flags(place)), env)
	if err != nil {
		return false, err
	}
	p.running.Store(process)
	defer p.running.Store(nil)
	p.report(ctx, state{restarts: restarts})
	select {
	case <-p.readiness(ctx, process, place.Address, restarts):
		p.wait(ctx, time.After(relist)) // so late is it noticed
		p.report(ctx, state{restarts: restarts, ended: true, code: int32(process.Code())})
		return true, nil
	case <-p.end:
		process.Stop(time.Duration(*p.of.Spec.TerminationGracePeriodSeconds) * time.Second)
	case <-ctx.Done():
		process.Stop(0)
	}
	return false, nil
}

// readiness probes the container until its process is over, which closes the
// channel, and reports changes. The pod's end does not end it.
func (p *pod) readiness(ctx context.Context, process *Process, at netip.Addr, restarts int32) <-chan struct{} {
	probe := p.of.Spec.Containers[0].ReadinessProbe
	p.nodes.group.Go(func() {
		tick := time.NewTicker(time.Duration(max(1, probe.PeriodSeconds)) * time.Second)
		defer tick.Stop()
		for was, failures := false, int32(0); ; {
			failures++
			if p.probe(ctx, probe, at) == nil {
				failures = 0
			}
			// One success suffices, as the probes of Deployments do by default.
			if now := failures == 0 || was && failures < probe.FailureThreshold; now != was && p.report(ctx, state{restarts: restarts, ready: now}) {
				was = now
			}
			select {
			case <-process.Over():
				return
			case <-tick.C:
			}
		}
	})
	return process.Over()
}

// probe asks once.
func (p *pod) probe(ctx context.Context, probe *corev1.Probe, at netip.Addr) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(max(1, probe.TimeoutSeconds))*time.Second)
	defer cancel()
	port := probe.HTTPGet.Port.IntValue()
	for _, named := range p.of.Spec.Containers[0].Ports {
		if named.Name == probe.HTTPGet.Port.StrVal {
			port = int(named.ContainerPort)
		}
	}
	url := fmt.Sprintf("http://%s%s", netip.AddrPortFrom(at, uint16(port)), probe.HTTPGet.Path)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest {
		return errors.New(response.Status)
	}
	return nil
}
