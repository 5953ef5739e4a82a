module evidence-probe

go 1.22
