#include "rdma/verbs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>

#define TEXT_BYTES 160

int tandem_rdma_errno_of(int result)
{
	if (result == 0)
		return 0;
	if (result == -1)
		return errno != 0 ? errno : EIO;
	return result < 0 ? -result : result;
}

int tandem_rdma_errno_of_object(const void *object)
{
	if (object != NULL)
		return 0;
	return errno != 0 ? errno : EIO;
}

static int memlock_error(struct tandem_error *reterr_error, const struct rlimit *limit,
                         size_t needed_bytes, const char *operation, const char *text)
{
	const size_t needed_kib = (needed_bytes + 1023) / 1024;

	return tandem_error_set_errno(
	        reterr_error, TANDEM_E_MEMLOCK, ENOMEM, operation,
	        "%s: %zu KiB more to lock, `ulimit -l` is %llu KiB; set LimitMEMLOCK=infinity in "
	        "the systemd unit or run `ulimit -l unlimited` first",
	        text, needed_kib, (unsigned long long)limit->rlim_cur / 1024);
}

int tandem_rdma_error(struct tandem_error *reterr_error, int os_errno, size_t needed_bytes,
                      const char *operation, const char *format, ...)
{
	char text[TEXT_BYTES];
	struct rlimit limit;
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (os_errno != ENOMEM)
		return tandem_error_set_errno(reterr_error, TANDEM_E_DEVICE, os_errno, operation,
		                              "%s", text);
	if (needed_bytes != 0 && getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
	    limit.rlim_cur != RLIM_INFINITY)
		return memlock_error(reterr_error, &limit, needed_bytes, operation, text);
	return tandem_error_set_errno(reterr_error, TANDEM_E_MEMORY, os_errno, operation,
	                              "%s: kernel or device out of memory", text);
}

struct tandem_rdma_verdict tandem_rdma_verdict_of_status(enum ibv_wc_status status, int is_receive)
{
	switch (status) {
	case IBV_WC_RETRY_EXC_ERR:
	case IBV_WC_RESP_TIMEOUT_ERR:
		return (struct tandem_rdma_verdict){
		        TANDEM_E_TIMEOUT, "the peer's device did not answer; check peer alive, "
		                          "link, MTU on both ends, GID and RoCE settings"};
	case IBV_WC_RNR_RETRY_EXC_ERR:
		return (struct tandem_rdma_verdict){TANDEM_E_PEER_LOST,
		                                    "the peer takes no more messages"};
	case IBV_WC_REM_INV_REQ_ERR:
	case IBV_WC_REM_ACCESS_ERR:
	case IBV_WC_REM_OP_ERR:
	case IBV_WC_REM_INV_RD_REQ_ERR:
	case IBV_WC_REM_ABORT_ERR:
		return (struct tandem_rdma_verdict){
		        TANDEM_E_PEER_LOST, "the peer refused the request; it fenced this session "
		                            "or withdrew its memory"};
	case IBV_WC_LOC_LEN_ERR:
		if (is_receive)
			return (struct tandem_rdma_verdict){
			        TANDEM_E_PROTOCOL, "the peer sent more than a message's room"};
		break;
	case IBV_WC_WR_FLUSH_ERR:
		return (struct tandem_rdma_verdict){TANDEM_E_PEER_LOST,
		                                    "the queue pair failed or was closed"};
	case IBV_WC_SUCCESS:
	case IBV_WC_LOC_QP_OP_ERR:
	case IBV_WC_LOC_EEC_OP_ERR:
	case IBV_WC_LOC_PROT_ERR:
	case IBV_WC_MW_BIND_ERR:
	case IBV_WC_BAD_RESP_ERR:
	case IBV_WC_LOC_ACCESS_ERR:
	case IBV_WC_LOC_RDD_VIOL_ERR:
	case IBV_WC_INV_EECN_ERR:
	case IBV_WC_INV_EEC_STATE_ERR:
	case IBV_WC_FATAL_ERR:
	case IBV_WC_GENERAL_ERR:
	case IBV_WC_TM_ERR:
	case IBV_WC_TM_RNDV_INCOMPLETE:
		break;
	}
	return (struct tandem_rdma_verdict){TANDEM_E_DEVICE, "the local device failed the request"};
}

const char *tandem_rdma_state_text(enum ibv_qp_state state)
{
	switch (state) {
	case IBV_QPS_RESET:
		return "RESET";
	case IBV_QPS_INIT:
		return "INIT";
	case IBV_QPS_RTR:
		return "RTR";
	case IBV_QPS_RTS:
		return "RTS";
	case IBV_QPS_SQD:
		return "SQD";
	case IBV_QPS_SQE:
		return "SQE";
	case IBV_QPS_ERR:
		return "ERR";
	case IBV_QPS_UNKNOWN:
		break;
	}
	return "unknown";
}

unsigned tandem_rdma_mtu_bytes(enum ibv_mtu mtu)
{
	return mtu >= IBV_MTU_256 && mtu <= IBV_MTU_4096 ? 128u << mtu : 0;
}
