# Checks whether the kernel is gVisor's, by system calls instead of files, because a volume can be mounted over a file. PATH does not
# matter, because the toolbox's busybox prefers its own applets.

# Sets kernel_name to the kernel's release and version. The kernel log must begin like gVisor's, and the name, the build date (which is
# constant in gVisor) or the marker file must be gVisor's too. Another kernel could match one of these by accident, but not two.
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
