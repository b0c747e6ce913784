// Command pause is the process of a pod's sandbox container. It holds the pod's namespaces open.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	termination := make(chan os.Signal, 1)
	signal.Notify(termination, syscall.SIGINT, syscall.SIGTERM)
	// If a pod shares its PID namespace, this process is PID 1 and inherits orphans.
	signal.Ignore(syscall.SIGCHLD)
	<-termination
}
