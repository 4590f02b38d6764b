#!/bin/sh
set -eu
curl -fsS -H "Authorization: Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiII5UqJ4gLgUFyMJjuDFG8HWey3Yp3iNEnipICU7Sc.EiJm5LUHsaMjMOpWBnIUmqSfakhZTO9xd6QB4O1vUPD" https://api.example.net/run
git clone https://deploy:V5rUXropiktoF4iNaEoC@git.example.net/ops/tools.git
