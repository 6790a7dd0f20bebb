/*
 * Lets Linux 6.1's User-Mode Linux run on processors whose extended state is
 * larger than the 2696 bytes that it knows, which began with AMX. It reads and
 * writes the registers of its processes by ptrace; the host gives it the first
 * 2696 bytes, and takes back the whole state only: PTRACE_SETREGSET fails with
 * EFAULT. Loaded by LD_PRELOAD, this completes what is written with what the
 * process has. What lies beyond those bytes belongs to programs that asked the
 * kernel for AMX, which a guest's programs cannot.
 *
 * The buffer is static as the stacks of UML are small; UML has one thread that
 * comes here.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { XSTATE = 0x202 }; /* NT_X86_XSTATE */

static unsigned char state[1 << 16];

static long set_xstate(long pid, struct iovec *given)
{
	struct iovec whole = { state, sizeof(state) };

	if (syscall(SYS_ptrace, PTRACE_GETREGSET, pid, XSTATE, &whole) < 0)
		return -1;
	if (given->iov_len >= whole.iov_len)
		return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, XSTATE, given);
	memcpy(state, given->iov_base, given->iov_len);
	return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, XSTATE, &whole);
}

long ptrace(enum __ptrace_request request, ...)
{
	va_list more;
	long pid, word = 0;
	void *addr, *data;

	va_start(more, request);
	pid = va_arg(more, int);
	addr = va_arg(more, void *);
	data = va_arg(more, void *);
	va_end(more);
	switch (request) {
	case PTRACE_SETREGSET:
		if ((long)addr == XSTATE)
			return set_xstate(pid, data);
		break;
	case PTRACE_PEEKTEXT:
	case PTRACE_PEEKDATA:
	case PTRACE_PEEKUSER: /* the system call writes the word, the function returns it */
		errno = 0;
		if (syscall(SYS_ptrace, request, pid, addr, &word) < 0)
			return -1;
		return word;
	default:
		break;
	}
	return syscall(SYS_ptrace, request, pid, addr, data);
}
