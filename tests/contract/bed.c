#include <string.h>

#include "contract.h"

static struct tandem_fabric *fabric;

static int open_memory(struct tandem_contract_bed *bed)
{
	fabric = tandem_fabric_new();
	if (!fabric)
		return TANDEM_E_MEMORY;
	int status = tandem_transport_open_memory(fabric, &bed->listening);
	if (status == 0)
		status = tandem_transport_open_memory(fabric, &bed->connecting);
	return status;
}

int tandem_contract_bed_open(const char *provider, const char *address,
                             struct tandem_contract_bed *ret_bed, struct tandem_error *reterr_error)
{
	struct tandem_contract_bed bed = {.address = address};
	int status;
	if (strcmp(provider, "memory") == 0) {
		bed.is_deterministic = true;
		status = open_memory(&bed);
	} else {
		status = tandem_transport_open(provider, address, &bed.listening, reterr_error);
		bed.connecting = bed.listening;
	}
	if (status == 0)
		*ret_bed = bed;
	return status;
}

void tandem_contract_bed_close(struct tandem_contract_bed *bed)
{
	if (bed->connecting != bed->listening)
		tandem_transport_free(bed->connecting);
	bed->listening = bed->connecting = tandem_transport_free(bed->listening);
	fabric = tandem_fabric_free(fabric);
}
