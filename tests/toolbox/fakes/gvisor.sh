# shellcheck shell=busybox disable=SC2034
# In place of lib/kernel.sh: a kernel that passes.
kernel_is_gvisor() {
	kernel_name='4.19.0-gvisor #1 SMP Sun Jan 10 15:06:54 PST 2016'
}
