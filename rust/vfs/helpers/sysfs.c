// SPDX-License-Identifier: GPL-2.0
/* A directory of a mount in sysfs, with one file. */
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/sysfs.h>
#include <linux/user_namespace.h>
#include "helpers.h"

struct rvfs_report {
	struct kobject kobj;
	struct module *owner;
	const void *data;
	rvfs_report_show_t show;
};

static ssize_t rvfs_report_show(struct kobject *kobj, struct attribute *attr,
				char *page)
{
	struct rvfs_report *report;

	/* The file goes before the data does, and waits for its readers. */
	report = container_of(kobj, struct rvfs_report, kobj);
	return report->show(report->data, page, PAGE_SIZE);
}

static void rvfs_report_release(struct kobject *kobj)
{
	kfree(container_of(kobj, struct rvfs_report, kobj));
}

static struct attribute rvfs_report_stats = { .name = "stats", .mode = 0400 };
static struct attribute *rvfs_report_attrs[] = { &rvfs_report_stats, NULL };
ATTRIBUTE_GROUPS(rvfs_report);

static const struct sysfs_ops rvfs_report_ops = { .show = rvfs_report_show };

static const struct kobj_type rvfs_report_type = {
	.release = rvfs_report_release,
	.sysfs_ops = &rvfs_report_ops,
	.default_groups = rvfs_report_groups,
};

/* The directory of a type; NULL where it cannot be made. */
struct kobject *rvfs_reports_create(const char *name)
{
	return kobject_create_and_add(name, fs_kobj);
}

void rvfs_reports_remove(struct kobject *reports)
{
	kobject_put(reports);
}

bool rvfs_sb_in_init_userns(const struct super_block *sb)
{
	return sb->s_user_ns == &init_user_ns;
}

struct rvfs_report *rvfs_report_add(struct super_block *sb,
				    struct kobject *reports, const void *data,
				    rvfs_report_show_t show)
{
	struct rvfs_report *report;
	int err;

	if (sb->s_sysfs_name[0])
		return ERR_PTR(-EEXIST);
	report = kzalloc_obj(*report);
	if (!report)
		return ERR_PTR(-ENOMEM);
	report->owner = sb->s_type->owner;
	report->data = data;
	report->show = show;
	super_set_sysfs_name_generic(sb, "%u:%u", MAJOR(sb->s_dev),
				     MINOR(sb->s_dev));
	__module_get(report->owner);
	err = kobject_init_and_add(&report->kobj, &rvfs_report_type, reports,
				   "%s", sb->s_sysfs_name);
	if (err) {
		sb->s_sysfs_name[0] = '\0';
		/* Nothing of it is in sysfs, so there is nothing to delete. */
		kobject_put(&report->kobj);
		module_put(sb->s_type->owner);
		return ERR_PTR(err);
	}
	return report;
}

void rvfs_report_del(struct rvfs_report *report)
{
	struct module *owner = report->owner;

	kobject_del(&report->kobj);
	kobject_put(&report->kobj);
	module_put(owner);
}
