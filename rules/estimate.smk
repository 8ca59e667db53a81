# What the run will need, told once before it starts. Snakemake calls this in the process that was
# asked for the run, not in those that it starts for jobs, nor in dry runs.
from ssp_nerf.estimate.plan import Job, cluster, estimated, this_machine
from ssp_nerf.estimate.words import lines_of


onstart:
    require_results()
    results = Path("results")
    machine = (
        this_machine(config, workflow.cores, results)
        if workflow.local_exec
        else cluster(config, workflow.nodes, results)
    )
    jobs = [
        Job(job.rule.name, job.wildcards_dict)
        for job in workflow.dag.needrun_jobs()
        if not job.is_norun
    ]
    for line in lines_of(*estimated(config, jobs, machine)):
        print(f"estimate: {line}", file=sys.stderr)
