// Command pause is the process of a pod's sandbox container: it holds the pod's namespaces open and does nothing else.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	// A pod that shares its PID namespace has this process as its first one, which inherits orphans.
	signal.Ignore(syscall.SIGCHLD)
	<-ended
}
