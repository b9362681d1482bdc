// One unit of work under a lock, with go-redis: to be copied.

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	ttl  = 2 * time.Second
	wait = 30 * time.Second
)

// ErrLeaseLost: somebody else may hold the lock by now. Stop, and write nothing more.
var ErrLeaseLost = errors.New("the lease is lost")

// One client waits in line: its timeout is longer than BLOCK, and each who waits needs a
// connection. The other one's calls must fail well before the lease ends.
var waiting, server *redis.Client

func connect(address string) {
	const longer = wait + 5*time.Second
	waiting = redis.NewClient(&redis.Options{Addr: address, ReadTimeout: longer, PoolSize: 100})
	server = redis.NewClient(&redis.Options{Addr: address, ReadTimeout: ttl / 3})
}

// Locked does one unit of work under the lock. The work's context is cancelled, with the
// cause ErrLeaseLost, at the instant at which the lease may have ended.
func Locked(ctx context.Context, key string, work func(context.Context, int64) error) error {
	owner := rand.Text() // fresh: an owner is never used again
	// In any case: after an error it may have been granted, and only the reply was lost.
	// After the lease was lost it does no harm: it ends this owner's hold and no other.
	// If it fails, the lease ends it.
	defer server.Do(context.WithoutCancel(ctx), "LOCK.RELEASE", key, owner)
	words := []any{"LOCK.ACQUIRE", key, owner, ttl.Milliseconds(), "BLOCK", wait.Milliseconds()}
	token, err := waiting.Do(ctx, words...).Int64() // redis.Nil: others hold it
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	lease := time.AfterFunc(ttl, func() { cancel(ErrLeaseLost) })
	defer lease.Stop()
	go func() { // keeps the lease alive
		beat := time.NewTicker(ttl / 3)
		defer beat.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case asked := <-beat.C:
				words := []any{"LOCK.EXTEND", key, owner, ttl.Milliseconds(), "TOKEN", token}
				held, err := server.Do(ctx, words...).Bool()
				if err != nil {
					continue // it tries again; the end of the lease stays where it is
				}
				if !held {
					cancel(ErrLeaseLost)
				} else if lease.Stop() {
					lease.Reset(time.Until(asked.Add(ttl)))
				}
			}
		}
	}()
	if err := work(ctx, token); ctx.Err() == nil {
		return err
	}
	return context.Cause(ctx)
}
