# shellcheck shell=busybox disable=SC2034
# Replaces lib/kernel.sh: reports a gVisor kernel.
kernel_is_gvisor() {
	kernel_name='4.19.0-gvisor #1 SMP Sun Jan 10 15:06:54 PST 2016'
}
