package certificate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/dynamic"
)

const (
	// lookTimeout bounds one look at the cluster.
	lookTimeout = 10 * time.Second
	// retryInterval is the time until the next look after one that failed, and
	// how long the API servers are given to learn an authority when no older
	// certificate is good any more.
	retryInterval = 5 * time.Second
	// pause between two looks, so that who undoes what replicas do, again and
	// again, does not keep them and the API server busy.
	pause = 250 * time.Millisecond
	// attempts against replicas that write the same at the same time.
	attempts = 5
)

// Settings of a certificate that the server makes itself.
type Settings struct {
	Namespace     string        // of the Secret
	Secret        string        // which the replicas share; it must exist, and may be empty
	Configuration string        // name of the webhook configurations that get the authority
	Names         []string      // DNS names or addresses of the server
	Duration      time.Duration // how long a certificate is good for
	RenewBefore   time.Duration // its end, when the next one is made
	Overlap       time.Duration // that an authority is in the configurations before its certificate is shown
	Interval      time.Duration // between two looks at the cluster, when nothing there changes
}

// Check says what cannot work.
func (s Settings) Check() error {
	switch {
	case s.Namespace == "":
		return errors.New("the namespace of the Secret is not known: set POD_NAMESPACE")
	case s.Overlap <= 0 || s.RenewBefore <= 2*s.Overlap || s.Duration <= s.RenewBefore:
		return fmt.Errorf("want overlap * 2 < renew-before < duration, and have %s * 2, %s, %s", s.Overlap, s.RenewBefore, s.Duration)
	case slices.Contains(s.Names, ""):
		return errors.New("one of the names is empty")
	}
	return nil
}

// Managed is a certificate that the replicas of a server make themselves. They
// keep it in one Secret, and its authority in the webhook configurations.
//
// Every replica looks at both when they change, and at intervals, and does what
// is missing, whoever comes first: the versions of the objects keep them from
// overwriting each other.
// A renewal is one more generation in the Secret, whose authority joins the old
// ones in the configurations. A replica shows it once it has seen it there for
// the time of the overlap; nobody needs to know who shows what, because old
// authorities stay until they end.
type Managed struct {
	settings Settings
	cluster  cluster
	now      func() time.Time // wall clock
	log      *slog.Logger
	serves   func(until time.Time)

	version string // of the Secret, and what it then held
	stored  generations
	unread  error                // what of it could not be used
	held    generations          // as last read or written
	trusted map[string]time.Time // by authority: since when it is in all configurations, by the clock that never jumps
	serving generation
	shown   atomic.Pointer[tls.Certificate]
	trouble atomic.Pointer[string] // of the last look, or nil
	adrift  atomic.Bool            // not all configurations hold the authority of what is shown
}

// NewManaged returns a certificate as settings say, which must be right. It
// calls serves with the end of each certificate that it shows from then on.
func NewManaged(settings Settings, client dynamic.Interface, now func() time.Time, log *slog.Logger, serves func(until time.Time)) *Managed {
	server := &apiServer{client: client, log: log, namespace: settings.Namespace, name: settings.Secret, configurationName: settings.Configuration}
	return newManaged(settings, server, now, log, serves)
}

func newManaged(settings Settings, c cluster, now func() time.Time, log *slog.Logger, serves func(until time.Time)) *Managed {
	return &Managed{settings: settings, cluster: c, now: now, log: log, serves: serves, trusted: map[string]time.Time{}}
}

// NeedLeaderElection tells the manager that every replica needs a certificate.
func (*Managed) NeedLeaderElection() bool { return false }

// Start looks after the certificate until ctx ends.
func (m *Managed) Start(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	var group sync.WaitGroup
	group.Go(func() { m.cluster.follow(ctx, changed) })
	defer group.Wait()
	for ctx.Err() == nil {
		err := m.try(ctx)
		m.tell(ctx, err)
		rest := m.settings.Interval
		if err != nil {
			rest = min(rest, retryInterval)
		}
		wait(ctx, nil, pause)
		wait(ctx, changed, rest)
	}
	return nil
}

// wait waits for a change at most so long.
func wait(ctx context.Context, changed <-chan struct{}, most time.Duration) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-changed:
	case <-timer.C:
	}
}

// tell logs trouble once, and its end.
func (m *Managed) tell(ctx context.Context, err error) {
	if err == nil {
		if m.trouble.Swap(nil) != nil {
			m.log.Info("certificate is looked after again")
		}
		return
	}
	if ctx.Err() != nil {
		return
	}
	text := err.Error()
	if last := m.trouble.Swap(&text); last == nil || *last != text {
		m.log.Error("certificate not looked after", keyError, err)
	}
}

// try looks again at once when another replica was faster.
func (m *Managed) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		if err := m.look(ctx); !errors.Is(err, errConflict) || attempt == attempts {
			return err
		}
	}
}

// look reads the configurations before the Secret: what another replica has put
// into a configuration was in the Secret before, so that no authority is taken
// for a stranger's that is only new.
func (m *Managed) look(ctx context.Context) error {
	configurations, err := m.cluster.configurations(ctx)
	if err != nil {
		return err
	}
	shared := m.share(ctx)
	err = m.announce(ctx, configurations, shared != nil)
	m.observe(configurations)
	m.choose()
	return errors.Join(shared, err)
}

// share brings what this replica holds and what the Secret holds together, and
// adds a generation when one is due.
func (m *Managed) share(ctx context.Context) error {
	s, err := m.cluster.secret(ctx)
	if err != nil {
		return err
	}
	if s.version != m.version {
		m.version = s.version
		m.stored, m.unread = decode(s.data)
	}
	all, err := m.complete(m.stored)
	if err != nil {
		return err
	}
	if slices.EqualFunc(all, m.stored, generation.same) {
		m.held = all
		return nil
	}
	s.data = all.encode()
	if err := m.cluster.update(ctx, s); err != nil {
		return err
	}
	m.held = all
	newest := all[len(all)-1]
	m.log.Info("certificates written", keyCertificate, newest.number, keyExpires, newest.ends())
	if m.unread != nil {
		m.log.Warn("certificates replaced", keyError, m.unread)
	}
	return nil
}

// complete returns what the Secret should hold, where it holds stored.
func (m *Managed) complete(stored generations) (generations, error) {
	now, all := m.now(), stored
	if m.shown.Load() != nil && !stored.has(m.serving) && !now.After(m.serving.ends()) {
		all = stored.restore(m.held, now)
	}
	if !all.due(m.settings.Names, now, m.settings.RenewBefore) {
		return all, nil
	}
	g, err := issue(all.next(), m.settings.Names, now.Add(m.settings.Duration))
	if err != nil {
		return nil, err
	}
	return append(slices.Clone(all), g).prune(now), nil
}

// announce puts the authorities into the configurations. Those of others stay
// there while the Secret may not tell all: it cannot be read (partly), or has
// only just begun, and replicas of another installation are still being replaced.
func (m *Managed) announce(ctx context.Context, configurations []configuration, partly bool) error {
	if len(m.held) == 0 {
		return nil // there is nothing to trust yet
	}
	others := partly || m.held[len(m.held)-1].number == 1
	var failed []error
	for i, c := range configurations {
		changed := false
		next := configuration{resource: c.resource, name: c.name, version: c.version}
		for _, bundle := range c.bundles {
			announced, differs := announced(bundle, m.held, others, m.now())
			next.bundles = append(next.bundles, announced)
			changed = changed || differs
		}
		if !changed {
			continue
		}
		written, err := m.cluster.announce(ctx, next)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		configurations[i] = written
		m.log.Info("authorities written", keyConfiguration, c.resource.Resource)
	}
	return errors.Join(failed...)
}

// observe notes since when which generation is trusted. It measures by
// time.Since, which knows no jumps.
func (m *Managed) observe(configurations []configuration) {
	for _, g := range m.held {
		everywhere := !slices.ContainsFunc(configurations, func(c configuration) bool {
			return slices.ContainsFunc(c.bundles, func(bundle []byte) bool { return !trusts(bundle, g.authority) })
		})
		_, before := m.trusted[string(g.authority)]
		switch {
		case !everywhere:
			delete(m.trusted, string(g.authority))
		case !before:
			m.trusted[string(g.authority)] = time.Now()
		}
	}
	for authority := range m.trusted {
		if !slices.ContainsFunc(m.held, func(g generation) bool { return string(g.authority) == authority }) {
			delete(m.trusted, authority)
		}
	}
}

// choose shows the newest certificate that has been trusted for long enough. A
// replica that shows none yet begins with the oldest: the API servers have known
// its authority longest.
func (m *Managed) choose() {
	fit := slices.DeleteFunc(slices.Clone(m.held), func(g generation) bool {
		_, trusted := m.trusted[string(g.authority)]
		return !trusted || m.now().After(g.ends()) || !g.covers(m.settings.Names)
	})
	if shown := m.shown.Load(); shown != nil || len(fit) > 0 {
		m.show(m.best(fit))
	}
	_, trusted := m.trusted[string(m.serving.authority)]
	m.adrift.Store(!trusted)
}

// best is the one that is shown, unless a newer one may follow it. One that
// ended, as the clock has it, is followed as soon as that can be known to work.
func (m *Managed) best(fit generations) generation {
	best, overlap := m.serving, m.settings.Overlap
	switch {
	case m.shown.Load() == nil:
		best = fit[0]
	case m.now().After(best.ends()):
		overlap = min(overlap, retryInterval)
	}
	for _, g := range fit {
		if time.Since(m.trusted[string(g.authority)]) >= overlap {
			best = g
		}
	}
	return best
}

func (m *Managed) show(g generation) {
	if m.shown.Load() != nil && g.same(m.serving) {
		return
	}
	m.serving = g
	m.shown.Store(&g.pair)
	m.serves(g.ends())
	m.log.Info("serving certificate chosen", keyCertificate, g.number, keyExpires, g.ends())
}

// Get is for tls.Config's GetCertificate.
func (m *Managed) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	pair := m.shown.Load()
	if pair == nil {
		return nil, errNone
	}
	return pair, nil
}

// Ready says why the API server cannot call this replica now.
func (m *Managed) Ready() error {
	err := current(m.shown.Load(), m.now())
	if err == nil && !m.adrift.Load() {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("not every webhook in the configurations %s has the authority of the serving certificate as caBundle", m.settings.Configuration)
	}
	if trouble := m.trouble.Load(); trouble != nil {
		err = fmt.Errorf("%w: %s", err, *trouble)
	}
	return err
}
