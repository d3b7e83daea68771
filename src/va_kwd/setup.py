# SPDX-License-Identifier: Apache-2.0
from setuptools import find_packages, setup

package_name = 'va_kwd'

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test']),
    package_data={package_name: ['py.typed', 'data/*.npz']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{package_name}']),
        (f'share/{package_name}', ['package.xml']),
    ],
    # ONNX Runtime is in requirements/.
    install_requires=['setuptools'],
    extras_require={'test': ['pytest']},
    entry_points={'console_scripts': ['kwd = va_kwd.main:main']},
    zip_safe=False,
    maintainer='Voice Assistant maintainers',
    maintainer_email='maintainers@voice-assistant.example',
    description='The wake word of the voice assistant',
    license='Apache-2.0',
)
