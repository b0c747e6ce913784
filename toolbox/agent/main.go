// Command agent does what the in-pod scripts need and busybox can't. It is one static program, so that it runs in any image.
//
// Usage:
//
//	agent get [--timeout DURATION] [--fields NAME,...] SOCKET PATH
//
// It exits with 0 for success, 1 for a failure, which it describes on stderr, and 2 for invalid arguments.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// errUsage is the error of invalid arguments.
var errUsage = errors.New("usage: agent get [--timeout DURATION] [--fields NAME,...] SOCKET PATH")

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(arguments []string, stdout, stderr io.Writer) int {
	if len(arguments) == 0 || arguments[0] != "get" {
		fmt.Fprintln(stderr, "agent:", errUsage)
		return 2
	}
	err := get(arguments[1:], stdout)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintln(stderr, "agent:", err)
		return 2
	default:
		fmt.Fprintln(stderr, "agent get:", err)
		return 1
	}
}
