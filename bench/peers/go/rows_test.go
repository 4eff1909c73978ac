// The same work in Go; every benchmark's b.N counts pieces of it.
package peers

import (
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func many(n, each int, f func()) {
	var wg sync.WaitGroup
	wg.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			defer wg.Done()
			for k := 0; k < each; k++ {
				f()
			}
		}()
	}
	wg.Wait()
}

func BenchmarkYield(b *testing.B) { many(8, b.N/8+1, runtime.Gosched) }

// rounds does f, of so many pieces, until b.N are done or more, and reports what one really took.
func rounds(b *testing.B, pieces int, f func()) {
	before, done := time.Now(), 0
	for ; done < b.N; done += pieces {
		f()
	}
	b.ReportMetric(float64(time.Since(before))/float64(done), "ns/op")
}

func yieldAmong(b *testing.B, count, each int) {
	rounds(b, count*each, func() { many(count, each, runtime.Gosched) })
}

func BenchmarkYield10(b *testing.B)     { yieldAmong(b, 10, 100000) }
func BenchmarkYield1000(b *testing.B)   { yieldAmong(b, 1000, 1000) }
func BenchmarkYield100000(b *testing.B) { yieldAmong(b, 100000, 100) }

func startSoMany(b *testing.B, count int) {
	rounds(b, count, func() {
		var wg sync.WaitGroup
		wg.Add(count)
		for i := 0; i < count; i++ {
			go func() { wg.Done() }()
		}
		wg.Wait()
	})
}

func BenchmarkStartAndFinish(b *testing.B) { startSoMany(b, 10000) }
func BenchmarkStart1000(b *testing.B)      { startSoMany(b, 1000) }
func BenchmarkStart100000(b *testing.B)    { startSoMany(b, 100000) }
func BenchmarkStart1000000(b *testing.B)   { startSoMany(b, 1000000) }

func BenchmarkUnbufferedRoundTrip(b *testing.B) {
	there, back := make(chan int), make(chan int)
	go func() {
		for v := range there {
			back <- v
		}
	}()
	for i := 0; i < b.N; i++ {
		there <- 1
		<-back
	}
	close(there)
}

func buffered(b *testing.B, pairs int) {
	ch := make(chan int, 100)
	each := b.N/pairs + 1
	var wg sync.WaitGroup
	wg.Add(2 * pairs)
	for i := 0; i < pairs; i++ {
		go func() {
			defer wg.Done()
			for k := 0; k < each; k++ {
				ch <- k
			}
		}()
		go func() {
			defer wg.Done()
			for k := 0; k < each; k++ {
				<-ch
			}
		}()
	}
	wg.Wait()
}

func BenchmarkBufferedOneToOne(b *testing.B)   { buffered(b, 1) }
func BenchmarkBufferedFourToFour(b *testing.B) { buffered(b, 4) }

func BenchmarkSelectOverTwo(b *testing.B) {
	x, y := make(chan int, 1), make(chan int, 1)
	for i := 0; i < b.N; i++ {
		x <- 1
		select {
		case <-x:
		case <-y:
		}
	}
}

func BenchmarkSelectOverEight(b *testing.B) {
	var all [8]chan int
	for i := range all {
		all[i] = make(chan int, 1)
	}
	for i := 0; i < b.N; i++ {
		all[i%8] <- 1
		select {
		case <-all[0]:
		case <-all[1]:
		case <-all[2]:
		case <-all[3]:
		case <-all[4]:
		case <-all[5]:
		case <-all[6]:
		case <-all[7]:
		}
	}
}

func BenchmarkSelectWithTimeout(b *testing.B) {
	there, back := make(chan int), make(chan int)
	receive := func(from chan int) bool {
		t := time.NewTimer(10 * time.Second)
		defer t.Stop()
		select {
		case _, open := <-from:
			return open
		case <-t.C:
			return false
		}
	}
	go func() {
		for receive(there) {
			back <- 1
		}
	}()
	for i := 0; i < b.N; i++ {
		there <- 1
		receive(back)
	}
	close(there)
}

func BenchmarkTickers(b *testing.B) {
	before := cpuSeconds()
	for n := 0; n < b.N; n++ {
		var wg sync.WaitGroup
		wg.Add(1000)
		for i := 0; i < 1000; i++ {
			go func() {
				t := time.NewTicker(10 * time.Millisecond)
				for k := 0; k < 100; k++ {
					<-t.C
				}
				t.Stop()
				wg.Done()
			}()
		}
		wg.Wait()
	}
	b.ReportMetric((cpuSeconds()-before)/float64(b.N), "cpu_s")
}

func BenchmarkMutexAdding(b *testing.B) {
	var m sync.Mutex
	sum := 0
	many(1000, b.N/1000+1, func() {
		m.Lock()
		sum++
		m.Unlock()
	})
}

func BenchmarkMutexUncontended(b *testing.B) {
	var m sync.Mutex
	for i := 0; i < b.N; i++ {
		m.Lock()
		m.Unlock()
	}
}

func BenchmarkSharedMutexUncontended(b *testing.B) {
	var m sync.RWMutex
	for i := 0; i < b.N; i++ {
		m.Lock()
		m.Unlock()
	}
}

func BenchmarkOnceDoneBefore(b *testing.B) {
	var once sync.Once
	for i := 0; i < b.N; i++ {
		once.Do(func() {})
	}
}

func BenchmarkCondThereAndBack(b *testing.B) {
	var m sync.Mutex
	changed := sync.NewCond(&m)
	first := true
	takeTurns := func(mine bool) {
		for i := 0; i < b.N; i++ {
			m.Lock()
			for first != mine {
				changed.Wait()
			}
			first = !mine
			changed.Signal()
			m.Unlock()
		}
	}
	var group sync.WaitGroup
	for _, mine := range []bool{true, false} {
		mine := mine
		group.Add(1)
		go func() {
			takeTurns(mine)
			group.Done()
		}()
	}
	group.Wait()
}

var computed uint64

// About a nanosecond a step, each of which needs the one before.
func compute(nanoseconds int) {
	x := uint64(1)
	for i := 0; i < nanoseconds; i++ {
		x *= 6364136223846793005
	}
	computed = x
}

func mutexOnTwo(b *testing.B, inside int) {
	var m sync.Mutex
	many(2, b.N/2+1, func() {
		m.Lock()
		compute(inside)
		m.Unlock()
	})
}

func BenchmarkMutexOnTwo(b *testing.B)      { mutexOnTwo(b, 0) }
func BenchmarkMutexOnTwoShort(b *testing.B) { mutexOnTwo(b, 100) }
func BenchmarkMutexOnTwoLong(b *testing.B)  { mutexOnTwo(b, 1000) }

func BenchmarkReadingOnTwo(b *testing.B) {
	var m sync.RWMutex
	many(2, b.N/2+1, func() {
		m.RLock()
		m.RUnlock()
	})
}

func BenchmarkWritingSeldomOnTwo(b *testing.B) {
	var m sync.RWMutex
	value := 1
	many(2, b.N/200+1, func() {
		for i := 1; i < 100; i++ {
			m.RLock()
			m.RUnlock()
		}
		m.Lock()
		value++
		m.Unlock()
	})
}

func BenchmarkCounterOnTwo(b *testing.B) {
	var c int64
	many(2, b.N/2+1, func() { atomic.AddInt64(&c, 1) })
}

type statistics struct{ requests, errors, latency int64 }

func BenchmarkStatisticsOnTwo(b *testing.B) {
	var v atomic.Value
	v.Store(&statistics{})
	many(2, b.N/2+1, func() {
		for {
			old := v.Load().(*statistics)
			if v.CompareAndSwap(old, &statistics{old.requests + 1, old.errors, old.latency + 5}) {
				return
			}
		}
	})
}

func BenchmarkSnapshotOnTwo(b *testing.B) {
	var v atomic.Value
	v.Store(&statistics{})
	many(2, b.N/2+1, func() { _ = v.Load().(*statistics).errors })
}

func BenchmarkPool(b *testing.B) {
	tasks, results := make(chan int, 100), make(chan int, 100)
	var wg sync.WaitGroup
	wg.Add(4)
	for i := 0; i < 4; i++ {
		go func() {
			defer wg.Done()
			for t := range tasks {
				results <- t + 1
			}
		}()
	}
	go func() {
		for i := 0; i < b.N; i++ {
			tasks <- i
		}
		close(tasks)
		wg.Wait()
		close(results)
	}()
	for range results {
	}
}

// Several producers, and nobody asks for results.
func poolForgetting(b *testing.B, producers int, task func()) {
	tasks := make(chan int, 100)
	var working, producing sync.WaitGroup
	working.Add(4)
	for i := 0; i < 4; i++ {
		go func() {
			defer working.Done()
			for range tasks {
				task()
			}
		}()
	}
	producing.Add(producers)
	for p := 0; p < producers; p++ {
		go func() {
			defer producing.Done()
			for i := 0; i < b.N/producers+1; i++ {
				tasks <- i
			}
		}()
	}
	producing.Wait()
	close(tasks)
	working.Wait()
}

func BenchmarkPoolForgetting(b *testing.B) { poolForgetting(b, 1, func() {}) }
func BenchmarkPoolProducers(b *testing.B)  { poolForgetting(b, 8, func() {}) }
func BenchmarkPoolShort(b *testing.B)      { poolForgetting(b, 1, func() { compute(1000) }) }
func BenchmarkPoolLong(b *testing.B)       { poolForgetting(b, 1, func() { compute(10000) }) }

func BenchmarkTimerAddedAndStopped(b *testing.B) {
	for i := 0; i < b.N; i++ {
		time.AfterFunc(time.Hour, func() {}).Stop()
	}
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

func BenchmarkMillionSleepers(b *testing.B) {
	before := cpuSeconds()
	for n := 0; n < b.N; n++ {
		var wg sync.WaitGroup
		wg.Add(1000000)
		for i := 0; i < 1000000; i++ {
			go func(i int) {
				time.Sleep(time.Duration(i) * time.Microsecond)
				wg.Done()
			}(i)
		}
		wg.Wait()
	}
	b.ReportMetric((cpuSeconds()-before)/float64(b.N), "cpu_s")
}

func withAMillionParked(b *testing.B, f func()) {
	for n := 0; n < b.N; n++ {
		goOn := make(chan struct{})
		var parked, done sync.WaitGroup
		parked.Add(1000000)
		done.Add(1000000)
		for i := 0; i < 1000000; i++ {
			go func() {
				parked.Done()
				<-goOn
				done.Done()
			}()
		}
		parked.Wait()
		f()
		close(goOn)
		done.Wait()
	}
}

func BenchmarkMillionParked(b *testing.B) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	withAMillionParked(b, func() {
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.Sys-before.Sys)/1e6, "bytes")
	})
}

func BenchmarkMillionStarted(b *testing.B) {
	before := time.Now()
	withAMillionParked(b, func() { b.ReportMetric(time.Since(before).Seconds(), "s") })
}
