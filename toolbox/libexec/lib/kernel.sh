# Is the kernel gVisor's? By system calls, not by files: a volume can be mounted over a file. No PATH plays a part: the toolbox's busybox
# looks for a command among its own applets first, and only then elsewhere.

# Sets kernel_name to the kernel's release and version. Its log must begin as gVisor's does, and its name, its build date (the one that gVisor has always given)
# or its marker file must be gVisor's as well. Any one of these could turn up on another kernel by accident, not two.
kernel_is_gvisor() {
	kernel_name=$(uname -rv)
	case $(dmesg 2>/dev/null) in
	*'Starting gVisor'*) ;;
	*) return 1 ;;
	esac
	case $kernel_name in
	*gvisor* | *'#1 SMP Sun Jan 10 15:06:54 PST 2016') return 0 ;;
	esac
	[ -e /proc/gvisor/kernel_is_gvisor ]
}
