// Sends 64 bytes and waits for them to come back, on many connections: echoload ADDRESS CONNECTIONS SECONDS. Prints
// round trips a second, the 99th percentile of their time in microseconds, and what the slowest connection got of the mean.
package main

import (
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"
)

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}

func main() {
	connections, _ := strconv.Atoi(os.Args[2])
	seconds, _ := strconv.Atoi(os.Args[3])
	// All are connected before the first begins: one that still dials beside others under load would seem to be starved.
	var dialed []net.Conn
	for i := 0; i < connections; i++ {
		c, err := net.Dial("tcp", os.Args[1])
		if err != nil {
			log.Fatal(err)
		}
		dialed = append(dialed, c)
	}
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	var lock sync.Mutex
	var all []int
	fewest := math.MaxInt
	var wg sync.WaitGroup
	for _, c := range dialed {
		c := c
		wg.Add(1)
		go func() {
			defer wg.Done()
			part := make([]byte, 64)
			var mine []int
			for begin := time.Now(); begin.Before(end); {
				if _, err := c.Write(part); err != nil {
					log.Fatal(err)
				}
				if _, err := io.ReadFull(c, part); err != nil {
					log.Fatal(err)
				}
				now := time.Now()
				mine = append(mine, int(now.Sub(begin)/time.Microsecond))
				begin = now
			}
			lock.Lock()
			all = append(all, mine...)
			fewest = min(fewest, len(mine))
			lock.Unlock()
		}()
	}
	wg.Wait()
	sort.Ints(all)
	fmt.Println(len(all)/seconds, all[len(all)*99/100], float64(fewest)*float64(connections)/float64(len(all)))
}
