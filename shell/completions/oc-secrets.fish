# fish completion for oc-secrets and its companions: oc-secrets completions fish | source

function __oc_secrets_complete
    set -l words (commandline --tokenize --cut-at-cursor --current-process) (commandline --cut-at-cursor --current-token)
    set -l lines (command oc-secrets complete -- $words 2>/dev/null)
    set -l kind (string split ' ' -- $lines[1])
    switch "$kind[1]"
        case files
            __fish_complete_path (commandline --cut-at-cursor --current-token)
        case directories
            __fish_complete_directories (commandline --cut-at-cursor --current-token)
        case command
            # fish counts from 1.
            set -l first (math $kind[2] + 1)
            complete --do-complete (string join ' ' -- (string escape -- $words[$first..-2]) $words[-1])
        case words
            for line in $lines[2..-1]
                echo $line
            end
    end
end

for program in oc-secrets openclaw-deploy docker-credential-oc git-credential-oc
    complete --command $program --no-files --keep-order --arguments '(__oc_secrets_complete)'
end
