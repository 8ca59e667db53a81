# What the run will need, told once before it starts. Snakemake calls this in the process that was
# asked for the run, not in those that it starts for jobs, nor in dry runs.
from ssp_nerf.estimate.plan import Job, estimated, this_machine
from ssp_nerf.estimate.words import lines_of


onstart:
    # Elsewhere a run is as wide as its jobs: what is told then is for the cores of this machine.
    cores = workflow.cores if workflow.local_exec else os.cpu_count()
    jobs = [
        Job(job.rule.name, job.wildcards_dict)
        for job in workflow.dag.needrun_jobs()
        if not job.is_norun
    ]
    machine = this_machine(config, cores, Path("results"))
    for line in lines_of(*estimated(config, jobs, machine)):
        print(f"estimate: {line}", file=sys.stderr)
