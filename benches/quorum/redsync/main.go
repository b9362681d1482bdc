// The clients of redsync, a Go module for locks on several servers: how long each of them
// waited for its locks, and took to give them back. It takes a lock with each client, says
// "ready", waits for a line, and ends with one line of JSON. The benchmark beside this folder
// starts it.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-redsync/redsync/v4"
	locks "github.com/go-redsync/redsync/v4/redis"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
)

// For how long after the end somebody who waits still waits.
const patience = 20 * time.Second

type cycle struct {
	AcquireNs int64 `json:"acquire_ns"`
	ReleaseNs int64 `json:"release_ns"`
}

// What one client saw.
type client struct {
	Cycles   []cycle `json:"cycles"`
	FailedNs []int64 `json:"failed_ns"`
	InTime   int     `json:"in_time"`
}

type asked struct {
	key     string
	one     bool
	window  time.Duration
	options []redsync.Option
}

func main() {
	servers := flag.String("servers", "", "host:port, separated by commas")
	clients := flag.Int("clients", 1, "how many clients")
	key := flag.String("key", "lock", "how the keys begin")
	one := flag.Bool("one", false, "all clients want one lock, and wait for it")
	millis := flag.Int("ms", 1000, "for how long")
	ttl := flag.Int("ttl", 30000, "the lease in milliseconds")
	tuned := flag.Int("timeout", 0, "the time-out of a server in milliseconds, and fail fast")
	flag.Parse()

	ask := asked{key: *key, one: *one, window: time.Duration(*millis) * time.Millisecond}
	ask.options = []redsync.Option{redsync.WithExpiry(time.Duration(*ttl) * time.Millisecond)}
	settings := redis.Options{}
	if *tuned > 0 {
		timeout := time.Duration(*tuned) * time.Millisecond
		factor := float64(*tuned) / float64(*ttl)
		ask.options = append(ask.options, redsync.WithFailFast(true), redsync.WithTimeoutFactor(factor))
		settings.DialTimeout, settings.ReadTimeout, settings.WriteTimeout = timeout, timeout, timeout
		settings.MaxRetries, settings.DialerRetries = -1, 1
		settings.ContextTimeoutEnabled = true
	}
	var pools []locks.Pool
	for _, server := range strings.Split(*servers, ",") {
		its := settings
		its.Addr = server
		pools = append(pools, goredis.NewPool(redis.NewClient(&its)))
	}

	from, seen := redsync.New(pools...), make([]client, *clients)
	warm := asked{key: ask.key + ":warm", options: ask.options}
	warm.together(from, seen)
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		os.Exit(1)
	}
	ask.together(from, seen)
	// Failing fast leaves requests under way, which would end with this process.
	time.Sleep(time.Duration(3**tuned) * time.Millisecond)
	if err := json.NewEncoder(os.Stdout).Encode(seen); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// All clients at once; without a window each takes one lock.
func (ask asked) together(from *redsync.Redsync, seen []client) {
	var all sync.WaitGroup
	end := time.Now().Add(ask.window)
	for number := range seen {
		all.Go(func() { seen[number] = ask.run(from, number, end) })
	}
	all.Wait()
}

// Takes locks and gives them back until the window is over.
func (ask asked) run(from *redsync.Redsync, number int, end time.Time) client {
	seen := client{Cycles: []cycle{}, FailedNs: []int64{}}
	for turn := 0; turn == 0 || time.Now().Before(end); turn++ {
		key := ask.key
		if !ask.one {
			key = fmt.Sprintf("%s:%d:%d", ask.key, number, turn)
		}
		lock, asked := from.NewMutex(key, ask.options...), time.Now()
		err := ask.take(lock, end)
		had := time.Now()
		if err != nil {
			seen.FailedNs = append(seen.FailedNs, had.Sub(asked).Nanoseconds())
			continue
		}
		// Where it could not be released, the lease ends it: that is looked at afterwards.
		_, _ = lock.Unlock()
		done := time.Now()
		took := cycle{had.Sub(asked).Nanoseconds(), done.Sub(had).Nanoseconds()}
		seen.Cycles = append(seen.Cycles, took)
		if done.Before(end) {
			seen.InTime++
		}
	}
	return seen
}

// A lock of one's own is asked for once; one that all want, until it is there.
func (ask asked) take(lock *redsync.Mutex, end time.Time) error {
	if !ask.one {
		return lock.TryLock()
	}
	for {
		err := lock.Lock()
		if err == nil || time.Now().After(end.Add(patience)) {
			return err
		}
	}
}
