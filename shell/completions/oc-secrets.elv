# elvish completion for oc-secrets and its companions: eval (oc-secrets completions elvish | slurp)
use str

for program [oc-secrets openclaw-deploy docker-credential-oc git-credential-oc] {
  set edit:completion:arg-completer[$program] = {|@words|
    var lines = [(e:oc-secrets complete -- $@words 2>/dev/null)]
    var kind = [(str:split ' ' $lines[0])]
    if (==s $kind[0] files) {
      edit:complete-filename $words[-1]
    } elif (==s $kind[0] directories) {
      edit:complete-filename $words[-1]
    } elif (==s $kind[0] command) {
      edit:complete-sudo sudo (all $words[$kind[1]..])
    } else {
      for line $lines[1..] {
        var word about = (str:split &max=2 "\t" $line)
        edit:complex-candidate $word &code-suffix=' ' &display=$word'  '$about
      }
    }
  }
}
