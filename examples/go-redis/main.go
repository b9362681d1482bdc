// A counter behind a lock, as a service over HTTP, with go-redis: go run . PORT
//
// Copy lock.go. This file proves it: 100 requests, ten at a time, lose no count; work may last
// longer than the lease; and who has lost the lock is stopped, and can write neither here nor
// there.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"time"

	_ "github.com/mattn/go-sqlite3"
	"github.com/redis/go-redis/v9"
)

const key = "hits:lock"

var db *sql.DB

// writeRedis writes what the lock protects in the same Redis: no token, no write.
func writeRedis(ctx context.Context, token, value int64) error {
	err := server.Do(ctx, "LOCK.GUARD", key, token, "SET", "hits", value).Err()
	if redis.HasErrorPrefix(err, "STALE") {
		return ErrLeaseLost
	}
	return err
}

// writeRow writes what it protects elsewhere: the row keeps the largest token it has seen.
func writeRow(ctx context.Context, token, value int64) error {
	const update = "UPDATE counter SET value = ?, fence = ? WHERE fence <= ?"
	result, err := db.ExecContext(ctx, update, value, token, token)
	if err != nil {
		return err
	}
	if rows, _ := result.RowsAffected(); rows == 0 {
		return ErrLeaseLost
	}
	return nil
}

func row() (value int64) {
	check(db.QueryRow("SELECT value FROM counter").Scan(&value))
	return value
}

func hit(w http.ResponseWriter, r *http.Request) {
	err := Locked(r.Context(), key, func(ctx context.Context, token int64) error {
		value := row() + 1
		return errors.Join(writeRedis(ctx, token, value), writeRow(ctx, token, value))
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

func request(url string) {
	response, err := http.Get(url)
	check(err)
	response.Body.Close()
	expect(response.StatusCode == http.StatusOK, response.Status)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func expect(is bool, what ...any) {
	if !is {
		log.Fatal(what...)
	}
}

func main() {
	port := append(os.Args, "6379")[1]
	connect("127.0.0.1:" + port)
	folder, err := os.MkdirTemp("", "counter")
	check(err)
	defer os.RemoveAll(folder)
	db, err = sql.Open("sqlite3", folder+"/counter.db?_busy_timeout=30000")
	check(err)
	_, err = db.Exec("CREATE TABLE counter AS SELECT 0 AS value, 0 AS fence")
	check(err)

	service := httptest.NewServer(http.HandlerFunc(hit))
	var clients sync.WaitGroup
	for range 10 {
		clients.Go(func() {
			for range 10 {
				request(service.URL)
			}
		})
	}
	clients.Wait()
	ctx := context.Background()
	hits, err := server.Get(ctx, "hits").Int64()
	check(err)
	fmt.Printf("100 requests, ten at a time: the row says %d, Redis %d\n", row(), hits)
	expect(row() == 100 && hits == 100, "counts were lost")

	err = Locked(ctx, key, func(work context.Context, token int64) error {
		time.Sleep(ttl * 3 / 2)
		expect(server.Do(ctx, "LOCK.FENCE", key, token).Val() == int64(1), "it was not kept alive")
		fmt.Println("work longer than the lease: still held")
		server.Del(ctx, key) // an operator breaks the lock; a long pause does the same
		request(service.URL) // somebody else, with a larger token
		expect(errors.Is(writeRedis(ctx, token, 7), ErrLeaseLost), "Redis took a late write")
		expect(errors.Is(writeRow(ctx, token, 7), ErrLeaseLost), "the row took a late write")
		select { // the work goes on, unknowing
		case <-work.Done():
		case <-time.After(ttl):
		}
		return nil
	})
	expect(errors.Is(err, ErrLeaseLost), "the work was not stopped")
	expect(server.Get(ctx, "hits").Val() == "101" && row() == 101, "a late write went through")
	fmt.Println("the lease is lost: the work is stopped, and refused by Redis and by the row")
}
