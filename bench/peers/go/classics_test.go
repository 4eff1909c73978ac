// The classic programs of bench/classics_bench.cpp in Go.
package peers

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func timed(b *testing.B, f func()) {
	for n := 0; n < b.N; n++ {
		before := time.Now()
		f()
		b.ReportMetric(time.Since(before).Seconds(), "s")
	}
}

func skynet(result chan int64, number, size int64) {
	if size == 1 {
		result <- number
		return
	}
	children := make(chan int64)
	for i := int64(0); i < 10; i++ {
		go skynet(children, number+i*(size/10), size/10)
	}
	var sum int64
	for i := 0; i < 10; i++ {
		sum += <-children
	}
	result <- sum
}

func BenchmarkSkynet(b *testing.B) {
	timed(b, func() {
		result := make(chan int64)
		go skynet(result, 0, 1000000)
		if <-result != 499999500000 {
			b.Fatal("a wrong sum")
		}
	})
}

func fib(n int) int {
	if n < 2 {
		return n
	}
	var first int
	var child sync.WaitGroup
	child.Add(1)
	go func() {
		first = fib(n - 1)
		child.Done()
	}()
	second := fib(n - 2)
	child.Wait()
	return first + second
}

func BenchmarkFib(b *testing.B) {
	timed(b, func() {
		if fib(30) != 832040 {
			b.Fatal("a wrong number")
		}
	})
}

func BenchmarkThreadRing(b *testing.B) {
	const size, passes = 503, 100000
	for done := 0; done < b.N; done += passes {
		var links [size]chan int
		for i := range links {
			links[i] = make(chan int)
		}
		over := make(chan int)
		for i := range links {
			go func(from, to chan int) {
				for left := range from {
					if left == 0 {
						over <- 0
						return
					}
					to <- left - 1
				}
			}(links[i], links[(i+1)%size])
		}
		links[0] <- passes
		<-over
		for _, link := range links {
			close(link)
		}
	}
}

type visitor struct {
	colour, other int
	met           *sync.Cond
}

type meetingPlace struct {
	lock  sync.Mutex
	first *visitor
	left  int
}

func (p *meetingPlace) meet(colour int) int {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.left == 0 {
		return -1
	}
	if p.first == nil {
		self := &visitor{colour, -1, sync.NewCond(&p.lock)}
		p.first = self
		for self.other < 0 {
			self.met.Wait()
		}
		return self.other
	}
	first := p.first
	p.first = nil
	p.left--
	first.other = colour
	first.met.Signal()
	return first.colour
}

func (p *meetingPlace) close() {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.left = 0
	if p.first != nil {
		p.first.other = p.first.colour
		p.first.met.Signal()
		p.first = nil
	}
}

func BenchmarkChameneos(b *testing.B) {
	const meetings = 100000
	for done := 0; done < b.N; done += meetings {
		place := meetingPlace{left: meetings}
		var creatures sync.WaitGroup
		var ended int32
		for _, colour := range []int{0, 1, 2, 0, 1, 2, 0, 1, 2, 0} {
			creatures.Add(1)
			go func(mine int) {
				for {
					other := place.meet(mine)
					if other < 0 {
						break
					}
					if mine != other {
						mine = 3 - mine - other
					}
				}
				if atomic.AddInt32(&ended, 1) == 1 {
					place.close()
				}
				creatures.Done()
			}(colour)
		}
		creatures.Wait()
	}
}

func BenchmarkTokioSpawnMany(b *testing.B) {
	const count = 10000
	for done := 0; done < b.N; done += count {
		left := int32(count)
		over := make(chan int, 1)
		for i := 0; i < count; i++ {
			go func() {
				if atomic.AddInt32(&left, -1) == 0 {
					over <- 0
				}
			}()
		}
		<-over
	}
}

func BenchmarkTokioYieldMany(b *testing.B) {
	const tasks, yields = 200, 1000
	for done := 0; done < b.N; done += tasks * yields {
		over := make(chan int, tasks)
		for i := 0; i < tasks; i++ {
			go func() {
				for k := 0; k < yields; k++ {
					runtime.Gosched()
				}
				over <- 0
			}()
		}
		for i := 0; i < tasks; i++ {
			<-over
		}
	}
}

func BenchmarkTokioPingPong(b *testing.B) {
	const pairs = 1000
	for done := 0; done < b.N; done += pairs {
		left := int32(pairs)
		over := make(chan int, 1)
		for i := 0; i < pairs; i++ {
			go func() {
				there, back := make(chan int, 1), make(chan int, 1)
				go func() { back <- <-there }()
				there <- 1
				<-back
				if atomic.AddInt32(&left, -1) == 0 {
					over <- 0
				}
			}()
		}
		<-over
	}
}

func spawnNext(over chan int, left int) {
	if left == 0 {
		over <- 0
		return
	}
	go spawnNext(over, left-1)
}

func BenchmarkTokioChainedSpawn(b *testing.B) {
	const links = 1000
	over := make(chan int, 1)
	for done := 0; done < b.N; done += links {
		go spawnNext(over, links)
		<-over
	}
}
