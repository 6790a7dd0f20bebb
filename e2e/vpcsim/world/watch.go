package world

// Changed returns a channel that is closed when the next ENI is created or
// deleted. Ask for it before looking at the ENIs, and nothing is missed.
func (w *World) Changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed == nil {
		w.changed = make(chan struct{})
	}
	return w.changed
}

// announce wakes everyone who waits for a change of the set of ENIs.
func (w *World) announce() {
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}
