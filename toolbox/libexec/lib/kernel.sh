# Is the kernel gVisor's? By system calls, not by files: a volume can be mounted over a file.

# kernel_is_gvisor BUSYBOX: its log must begin as gVisor's does, and its name, its build date (the one that gVisor has always given)
# or its marker file must be gVisor's as well. Any one of these could turn up on another kernel by accident, not two.
kernel_is_gvisor() {
	case $("$1" dmesg 2>/dev/null) in
	*'Starting gVisor'*) ;;
	*) return 1 ;;
	esac
	case $("$1" uname -rv) in
	*gvisor* | *'#1 SMP Sun Jan 10 15:06:54 PST 2016') return 0 ;;
	esac
	[ -e /proc/gvisor/kernel_is_gvisor ]
}
