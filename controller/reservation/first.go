package reservation

import "sync"

// first is the first time that the objects show all of the selected subnets.
// Before it, that there is no object says nothing.
type first struct {
	over chan struct{} // closed from then on

	mu      sync.Mutex
	subnets map[string]bool // done so far, nil from then on
}

func newFirst() *first {
	return &first{over: make(chan struct{}), subnets: map[string]bool{}}
}

// done notes that all objects of a subnet are there.
func (f *first) done(subnetID string, all []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.subnets == nil {
		return
	}
	f.subnets[subnetID] = true
	for _, id := range all {
		if !f.subnets[id] {
			return
		}
	}
	f.subnets = nil
	close(f.over)
}

// Mirrored is closed once the objects show all reservations of all selected
// subnets for the first time since the reconciler was made. A subnet that EC2
// says does not exist has none.
func (r *Reconciler) Mirrored() <-chan struct{} { return r.first.over }
