//go:build !linux

package load

import "context"

// epoll is Linux's. Elsewhere a goroutine for each conn does the same, for more of the processor.
func (t *thread) epoll(ctx context.Context) error { return t.goroutines(ctx) }
