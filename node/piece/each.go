package piece

import "sync/atomic"

// Each keeps a T, or none, for each partition. It takes memory from the first one on: a node without others never has any.
// Load may be called at any time, Store by one at a time.
type Each[T any] struct {
	partitions int
	kept       atomic.Pointer[[]atomic.Pointer[T]]
}

// NewEach gives an Each of so many partitions that has none.
func NewEach[T any](partitions int) *Each[T] { return &Each[T]{partitions: partitions} }

// Len is the number of partitions.
func (e *Each[T]) Len() int { return e.partitions }

// Load gives what is kept for a partition; nil if there is none.
func (e *Each[T]) Load(part int) *T {
	kept := e.kept.Load()
	if kept == nil {
		return nil
	}
	return (*kept)[part].Load()
}

// Store keeps t for a partition; nil: none any more.
func (e *Each[T]) Store(part int, t *T) {
	kept := e.kept.Load()
	if kept == nil {
		if t == nil {
			return
		}
		fresh := make([]atomic.Pointer[T], e.partitions)
		kept = &fresh
		e.kept.Store(kept)
	}
	(*kept)[part].Store(t)
}
