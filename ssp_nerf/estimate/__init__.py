"""What a run will need, before it starts: time, memory and disk, from the config and the videos.

`costs.csv` holds what each rule was measured to take, `work` says how much a job has to do, and
`plan` puts both together. docs/scaling.md says how good the figures are.
"""
