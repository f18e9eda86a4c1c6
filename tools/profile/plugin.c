// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin of QEMU that counts the instructions of the guest's kernel, between the marks of rovl-bench.
 *
 * A mark is "nop dword ptr [rax + MARK + n]": with n of 1 or 2 it starts counting for the first or the second side, with 0 it ends that.
 * At the end the plugin writes a line for each translated block that was run: address, instructions of each side.
 *
 * Debian has no header for plugins; what is declared here is the interface of version 4, see docs/devel/tcg-plugins.rst of QEMU.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

enum flags { NO_REGISTERS };

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *to, size_t len);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*translated)(plugin_id id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, void (*run)(unsigned int cpu, void *data), enum flags flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, void (*run)(unsigned int cpu, void *data), enum flags flags, void *data);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*end)(plugin_id id, void *data), void *data);

#define EXPORT __attribute__((visibility("default")))
EXPORT extern int qemu_plugin_version;
EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv);

int qemu_plugin_version = 4;

/* nop dword ptr [rax + ...], and the three upper bytes of MARK */
static const uint8_t MARK[] = { 0x0f, 0x1f, 0x80 }, MARK_HIGH[] = { 0x6f, 0x76, 0x6c };

struct block {
	uint64_t address, instructions, runs[2];
	struct block *next;
};

static struct block *blocks[1 << 16];
static const char *path;
/* Which side is counted for: 1, 2, or none. The guest has one processor. */
static uintptr_t side;

/* A block may be translated again: it is the same one if it starts at the same place and is as long. */
static struct block *block_of(uint64_t address, uint64_t instructions)
{
	struct block **place = &blocks[(address * 0x9e3779b97f4a7c15) >> 48];

	for (; *place; place = &(*place)->next)
		if ((*place)->address == address && (*place)->instructions == instructions)
			return *place;
	*place = calloc(1, sizeof(**place));
	if (!*place)
		abort();
	(*place)->address = address;
	(*place)->instructions = instructions;
	return *place;
}

static void ran(unsigned int cpu, void *data)
{
	struct block *block = data;

	if (side)
		block->runs[side - 1]++;
}

static void marked(unsigned int cpu, void *data)
{
	side = (uintptr_t)data;
}

static void translated(plugin_id id, struct qemu_plugin_tb *tb)
{
	size_t count = qemu_plugin_tb_n_insns(tb);
	uint64_t address = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0));

	if (address >> 63) {
		qemu_plugin_register_vcpu_tb_exec_cb(tb, ran, NO_REGISTERS, block_of(address, count));
		return;
	}
	for (size_t i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint8_t data[7];

		if (qemu_plugin_insn_data(insn, data, sizeof(data)) == sizeof(data) && !memcmp(data, MARK, 3) &&
		    !memcmp(data + 4, MARK_HIGH, 3) && data[3] <= 2)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, marked, NO_REGISTERS, (void *)(uintptr_t)data[3]);
	}
}

static void end(plugin_id id, void *data)
{
	FILE *file = fopen(path, "w");

	if (!file)
		return;
	for (size_t i = 0; i < sizeof(blocks) / sizeof(*blocks); i++)
		for (struct block *block = blocks[i]; block; block = block->next)
			if (block->runs[0] || block->runs[1])
				fprintf(file, "%jx %ju %ju\n", (uintmax_t)block->address, (uintmax_t)(block->instructions * block->runs[0]),
					(uintmax_t)(block->instructions * block->runs[1]));
	fclose(file);
}

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
	if (argc != 1 || strncmp(argv[0], "out=", 4)) {
		fprintf(stderr, "the plugin needs out=FILE\n");
		return -1;
	}
	path = strdup(argv[0] + 4);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, end, NULL);
	return 0;
}
