package nad

// Bounds of the work that one object or one pod may cause. Whoever may create
// objects chooses their sizes, so each bound is far above real use, and what is
// beyond it is said and not read. docs/rules.md lists them.

// Bounds of one check.
const (
	// maxOverlaps is with how many networks the overlaps of one pool, or of one
	// address of a pod, are told. Copies of a network count once.
	maxOverlaps = 64
	// maxSteps bounds how many ranges of other networks one check looks at.
	maxSteps = 200_000
)

// budget is what is left of the steps of one check.
type budget int

// spend reports whether there were so many steps left.
func (b *budget) spend(steps int) bool {
	if int(*b) < steps {
		*b = 0
		return false
	}
	*b -= budget(steps)
	return true
}
