// SPDX-License-Identifier: GPL-2.0
/* Counters of which each CPU has its own. */
#include <linux/percpu.h>
#include "helpers.h"

u64 __percpu *rvfs_percpu_alloc(size_t count)
{
	return __alloc_percpu(array_size(count, sizeof(u64)), __alignof__(u64));
}

void rvfs_percpu_free(u64 __percpu *counters)
{
	free_percpu(counters);
}

void rvfs_percpu_add(u64 __percpu *counter, u64 n)
{
	this_cpu_add(*counter, n);
}

u64 rvfs_percpu_sum(u64 __percpu *counter)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*per_cpu_ptr(counter, cpu));
	return sum;
}
