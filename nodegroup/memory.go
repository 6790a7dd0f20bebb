package nodegroup

import (
	"slices"
	"sync"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/plan"
)

// memory is what EC2 acknowledged and looks may not show yet. It keeps a run
// from doing a thing twice; it never makes it believe that all is done.
type memory struct {
	mu      *sync.Mutex
	enis    map[string]remembered // created, by id
	writes  map[string]write      // by ENI
	numbers map[string]int        // of the token, by network
}

type remembered struct {
	plan.ENI
	at time.Time
}

// write is what was done to an ENI.
type write struct {
	attachment *plan.Attachment
	unchecked  bool
	deleted    bool
	at         time.Time
}

func newMemory() memory {
	return memory{mu: new(sync.Mutex), enis: map[string]remembered{}, writes: map[string]write{}, numbers: map[string]int{}}
}

func (m *memory) create(e plan.ENI) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.enis[e.ID] = remembered{e, time.Now()}
}

// note records a write to an ENI.
func (m *memory) note(eni string, change func(*write)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.writes[eni]
	change(&w)
	w.at = time.Now()
	m.writes[eni] = w
}

// forget drops what was remembered of an ENI: EC2 says that it is gone.
func (m *memory) forget(eni string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.enis, eni)
	delete(m.writes, eni)
}

// created lists the ENIs that were made lately.
func (m *memory) created() []plan.ENI {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []plan.ENI
	for _, e := range m.enis {
		if time.Since(e.at) < trust {
			list = append(list, e.ENI)
		}
	}
	return list
}

// remembered returns a view together with what was done lately.
func (r *run) remembered(view plan.View) plan.View {
	view.ENIs = slices.Clone(view.ENIs)
	for _, e := range r.memory.created() {
		if !slices.ContainsFunc(view.ENIs, func(v plan.ENI) bool { return v.ID == e.ID }) {
			view.ENIs = append(view.ENIs, e)
		}
	}
	r.memory.mu.Lock()
	defer r.memory.mu.Unlock()
	var enis []plan.ENI
	for _, e := range view.ENIs {
		if w, ok := r.memory.writes[e.ID]; ok && time.Since(w.at) < trust {
			if w.deleted {
				continue
			}
			e = w.applied(e)
		}
		enis = append(enis, e)
	}
	view.ENIs = enis
	return view
}

// applied returns the ENI as it is when the write has taken effect.
func (w write) applied(e plan.ENI) plan.ENI {
	e.Checked = e.Checked && !w.unchecked
	switch {
	case w.attachment == nil:
	case e.Attachment == nil:
		at := *w.attachment
		e.Attachment = &at
	case w.attachment.Protected:
		at := *e.Attachment
		at.Protected = true
		e.Attachment = &at
	}
	return e
}
