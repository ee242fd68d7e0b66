// A service with a known split: each request computes 4.9 ms in tokenize and 2.1 ms in embed. Its
// profile is where Go's services have it, at /debug/pprof/profile.
package main

import (
	"io"
	"log"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

const threadCPUTime = 3 // CLOCK_THREAD_CPUTIME_ID of Linux, which Go's library does not name

// Processor time of this thread; the goroutine must be locked to it.
func cpu() time.Duration {
	var now syscall.Timespec
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, threadCPUTime, uintptr(unsafe.Pointer(&now)), 0); errno != 0 {
		log.Fatal(errno)
	}
	return time.Duration(now.Nano())
}

//go:noinline
func tokenize(length time.Duration) uint32 {
	sum := uint32(1)
	for end := cpu() + length; cpu() < end; {
		for i := uint32(0); i < 20000; i++ {
			sum = sum*31 + i
		}
	}
	return sum
}

//go:noinline
func embed(length time.Duration) uint32 {
	sum := uint32(1)
	for end := cpu() + length; cpu() < end; {
		for i := uint32(0); i < 20000; i++ {
			sum = (sum ^ i) * 2654435761
		}
	}
	return sum
}

func serve(answer http.ResponseWriter, request *http.Request) {
	if request.Method == http.MethodPost {
		io.Copy(io.Discard, request.Body)
		runtime.LockOSThread()
		sum := tokenize(4900*time.Microsecond) + embed(2100*time.Microsecond)
		runtime.UnlockOSThread()
		if sum == 0 { // as good as never: what is computed is used
			answer.Header().Set("x-sum", "0")
		}
	}
	answer.Header().Set("content-type", "application/json")
	io.WriteString(answer, `{"sentiment": "neutral"}`)
}

func main() {
	http.HandleFunc("/", serve)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
